# frozen_string_literal: true

require_relative "session"

module Fault
  Claim = Struct.new(:step_id, :token)

  # Creates tasks, each with a row of the application's own, and asks again until it knows.
  class Producer < Session
    BREATH = 0.03

    def run
      until @load.stopped?
        create(@ledger.next_key(name), @load.templates.sample(random: @random))
        sleep(BREATH * @load.pace)
      end
    end

    private

    CREATE = <<~SQL
      WITH task AS (SELECT task_id, created FROM tasker.create_task($1, namespace => 'fault', idempotency_key => $2)),
        booked AS (INSERT INTO orders SELECT $2, task_id FROM task WHERE created)
      SELECT task_id FROM task
    SQL

    def create(key, template)
      made = nil
      until made || @load.stopped?
        attempt(:create) do
          made = settled { query(CREATE, template, key).getvalue(0, 0).to_i }
          @ledger.created(key, made, changeable: template == "changed")
        end
      end
    end
  end

  # Claims steps and ends them in every way a worker may. Each result is written together with a row
  # of the application's own.
  class StepWorker < Session
    # How a batch ends, while the fault is on; afterwards everything is completed.
    ENDINGS = %i[complete complete complete complete_batch complete_batch complete_and_claim complete_and_claim
                 fail release checkpoint heartbeat abandon].freeze
    IDLE = 0.03

    def run
      @claims = []
      until @load.finished?
        @claims = [] if @load.draining? && !@was_draining # what was held is left to its lease
        @was_draining = @load.draining?
        @claims.empty? ? claim : finish
      end
    end

    private

    def claim
      attempt(:claim) do
        @claims = transaction { claims_of(query("SELECT * FROM tasker.claim_steps($1, $2, '{fault}', $3)", name, 1 + @random.rand(3), LEASE)) }
      end
      sleep(IDLE * @load.pace) if @claims.empty?
    end

    def finish
      claims, @claims = @claims, []
      ending = @load.draining? ? %i[complete complete_batch].sample(random: @random) : ENDINGS.sample(random: @random)
      send(:"#{ending}_claims", claims)
    end

    # One by one, a transaction each.
    def complete_claims(claims)
      claims.each do |claim|
        value = @ledger.next_value
        attempt(:complete) do
          settled do
            status = query("SELECT status FROM tasker.complete_step($1, $2, to_jsonb($3::bigint))", claim.step_id, claim.token, value).getvalue(0, 0)
            write_effects([[claim, value]]) if status == "completed"
          end
          @ledger.completed([[claim.step_id, claim.token, value]])
        end
      end
    end

    def complete_batch_claims(claims)
      items = claims.map { |claim| [claim, @ledger.next_value] }
      attempt(:complete_batch) do
        rows = settled do
          query("SELECT workflow_step_id, status FROM tasker.complete_steps($1, $2, $3)", *columns(claims), array(items.map(&:last)))
            .to_a.tap { |answer| write_effects(items_with(items, answer, %w[completed])) }
        end
        acknowledge(items_with(items, rows, %w[completed already_completed]))
      end
    end

    def complete_and_claim_claims(claims)
      items = claims.map { |claim| [claim, @ledger.next_value] }
      attempt(:complete_and_claim) do
        rows = settled do
          query("SELECT * FROM tasker.complete_and_claim($1, $2, $3, $4, 2, '{fault}', $5)", *columns(claims), array(items.map(&:last)), name, LEASE)
            .to_a.tap { |answer| write_effects(items - exceptions(items, answer)) }
        end
        acknowledge(items - exceptions(items, rows.reject { |row| row["status"] == "already_completed" }))
        @claims = claims_of(rows.select { |row| row["claim_token"] })
      end
    end

    def fail_claims(claims)
      claims.each do |claim|
        attempt(:fail) { transaction { query("SELECT FROM tasker.fail_step($1, $2, '{}', retry_after_seconds => 0.02)", claim.step_id, claim.token) } }
      end
    end

    def release_claims(claims) = attempt(:release) { transaction { query("SELECT tasker.release_steps($1, $2)", *columns(claims)) } }

    def checkpoint_claims(claims)
      attempt(:checkpoint) { transaction { query("SELECT tasker.checkpoint_step($1, $2, '7', true)", claims.first.step_id, claims.first.token) } }
    end

    def heartbeat_claims(claims)
      attempt(:heartbeat) { transaction { query("SELECT FROM tasker.heartbeat($1, $2, $3, $4)", name, *columns(claims), LEASE) } }
      complete_claims(claims)
    end

    # A worker that dies with its claims.
    def abandon_claims(claims) = @ledger.expect("claims abandoned")

    def claims_of(rows) = rows.map { |row| Claim.new(row["workflow_step_id"].to_i, row["claim_token"].to_i) }
    def columns(claims) = [array(claims.map(&:step_id)), array(claims.map(&:token))]

    def items_with(items, rows, statuses)
      good = rows.select { |row| statuses.include?(row["status"]) }.map { |row| row["workflow_step_id"].to_i }
      items.select { |claim, _| good.include?(claim.step_id) }
    end

    # complete_and_claim answers with those that were not completed now.
    def exceptions(items, rows)
      items.select { |claim, _| rows.any? { |row| row["completed_step_id"].to_i == claim.step_id } }
    end

    def write_effects(items)
      return if items.empty?

      query("INSERT INTO effects SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])", *columns(items.map(&:first)), array(items.map(&:last)))
    end

    def acknowledge(items) = @ledger.completed(items.map { |claim, value| [claim.step_id, claim.token, value] })
  end

  # Reads all events, and goes on from its cursor whatever breaks.
  class EventReader < Session
    EVENTS = "SELECT cursor, name || ' ' || coalesce(workflow_step_id, task_id, 0) FROM tasker.read_events($1, 1000)"
    BREATH = 0.1

    def run
      until @load.finished?
        attempt(:read_events) { read }
        sleep(BREATH * @load.pace)
      end
    end

    private

    def read
      events = query(EVENTS, @cursor).values
      return if events.empty?

      @ledger.heard(events)
      @cursor = events.last.first
    end
  end

  # Changes tasks by hand, and runs maintenance.
  class Operator < Session
    TASK_MOVES = { pause: "pause_task($1)", resume: "resume_task($1)", cancel: "cancel_task($1)", retry: "retry_task($1)" }.freeze
    STEP_MOVES = { reset: "reset_step($1)", resolve: "resolve_step($1, '7')", skip: "skip_step($1)" }.freeze
    MOVES = %i[pause resume retry maintain reset resolve skip pause resume cancel].freeze
    BREATH = 0.06

    def run
      until @load.stopped?
        move(MOVES.sample(random: @random))
        sleep(BREATH * @load.pace)
      end
    end

    private

    def move(verb)
      return attempt(verb) { transaction { query("SELECT tasker.run_maintenance(100)") } } if verb == :maintain

      task = @ledger.changeable(@random) or return
      call, subject = TASK_MOVES.key?(verb) ? [TASK_MOVES[verb], task] : [STEP_MOVES[verb], (task * 1_000_000) + 1 + @random.rand(4)]
      attempt(verb) { transaction { query("SELECT FROM tasker.#{call}", subject) } }
    end
  end
end
