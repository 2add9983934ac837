# frozen_string_literal: true

require "tasker_core"

# A small shop's day, for pictures: tasks in every state, made by the functions that workers use.
class Samples
  ORDER = { "name" => "order", "namespace" => "shop", "version" => "2.1.0", "description" => "from basket to parcel", "steps" => [
    { "name" => "validate" },
    { "name" => "charge", "depends_on" => ["validate"], "retry" => { "max_attempts" => 3, "backoff_base_ms" => 3_600_000, "max_backoff_ms" => 3_600_000, "jitter" => 0 } },
    { "name" => "reserve", "depends_on" => ["validate"] }, { "name" => "screen", "depends_on" => ["validate"] },
    { "name" => "pack", "depends_on" => %w[charge reserve] },
    { "name" => "ship", "depends_on" => %w[pack screen] }, { "name" => "notify", "depends_on" => ["ship"] }
  ] }.freeze
  ERROR = { "class" => "Payments::Declined", "message" => "card declined by the bank",
            "backtrace" => ["app/payments/gateway.rb:41:in `charge'", "app/handlers/charge.rb:12:in `process'"], "error_code" => "DECLINED" }.freeze

  attr_reader :failed, :running

  def initialize(client)
    @client = client
  end

  def make
    @client.register_task_template(ORDER)
    25.times { |number| run(create(number)) }
    @failed = create(26)
    run(@failed, fails: "charge", retryable: false)
    @running = create(27)
    run(@running, steps: 2, fails: "charge")
    @client.claim_steps(worker_id: "shop-1", task_id: @running, lease_seconds: 86_400)
    @client.pause_task(create(28), reason: "stock-taking")
    3.times { |number| create(30 + number) }
    self
  end

  private

  def create(number)
    @client.create_task("order", namespace: "shop", context: { "order" => number, "customer" => "Ada <ada@example.org>" },
                                 tags: number.even? ? %w[vip] : nil, initiator: "web").task_id
  end

  def run(task_id, steps: 100, fails: nil, retryable: true)
    steps.times do
      claim = @client.claim_steps(worker_id: "shop-#{1 + (task_id % 2)}", task_id: task_id).first or return
      held = { workflow_step_id: claim.workflow_step_id, claim_token: claim.claim_token }
      if claim.step_name == fails
        @client.fail_step(**held, error: ERROR, retryable: retryable)
      else
        sleep(0.002 * ((claim.workflow_step_id % 7) + 1))
        @client.complete_step(**held, results: { "step" => claim.step_name, "ok" => true })
      end
    end
  end
end
