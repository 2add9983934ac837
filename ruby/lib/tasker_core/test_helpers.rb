# frozen_string_literal: true

require_relative "../tasker_core"
require_relative "test_helpers/factory"

module TaskerCore
  # For the tests of an application's workflows, whatever their framework:
  #
  #   class ShippingTest < Minitest::Test
  #     include TaskerCore::TestHelpers
  #   end
  #
  # {#process_step} needs no database. Everything else works on
  # {TaskerCore.connection}, in the test's own transaction if there is one, and in
  # the test's thread; a handler's error is raised from where the test can see it.
  module TestHelpers
    # What a failed assertion raises where there is no `flunk`.
    class Failed < StandardError; end

    # Seconds in which a step that is ready has to be claimable.
    PATIENCE = 30
    private_constant :PATIENCE

    # Transactions of a step that is only rehearsed; nothing is told to the extension.
    #
    # @api private
    class Rehearsal < Inline::Desk
      def record(_claim, _kind, _value) = true
    end

    # The workers of an application should not wake up with its test helpers.
    # @api private
    def self.included(base)
      env = ENV["TASKER_ENV"] || ENV["RAILS_ENV"] || ENV.fetch("RACK_ENV", nil)
      raise ConfigurationError, "TaskerCore::TestHelpers is not for #{env}" if env == "production"

      super
    end

    # Runs one step as a worker would, without a database. What goes in and comes out passes through
    # JSON, as it does in reality.
    #
    # @param handler [Class, Proc, Object] what would be named in the template
    # @param context [Hash] of the task
    # @param dependencies [Hash{String => Object}] results by parent
    # @param config [Hash] the step's handler configuration
    # @param inputs [Object, nil] of an instance of a map or batch step
    # @param checkpoint [Object, nil] what an earlier attempt left
    # @param connection what `step.transaction` is to run on; by default {TaskerCore.connection}
    # @return the results
    # @raise what the handler raises
    def process_step(handler, context: {}, dependencies: {}, config: {}, inputs: nil, attempt: 1, max_attempts: 3,
                     checkpoint: nil, name: "step", connection: nil)
      task_handler = TaskHandler::Base.new(
        config: { name: "test", namespace: "test", steps: [{ name: name, handler: { initialization: as_json(config) } }] },
        handlers: { name => handler }
      )
      claim = test_claim(name, context: context, dependencies: dependencies, config: config, inputs: inputs,
                               attempt: attempt, max_attempts: max_attempts, checkpoint: checkpoint)
      desk = Rehearsal.new(connection ? Client.new(connection) : TaskerCore.client)
      rehearsed = Inline::Attempt.new(claim, desk)
      output = rehearsed.watch do
        task_handler.process_step_with_handler(Task.of(claim), StepSequence.new(claim.dependency_results),
                                               Step.new(claim, rehearsed))
      end
      as_json(output)
    end

    # Registers templates with the database, and their handlers for {#drain_tasks}.
    # @see Registry#register
    # @return [Array<RegisteredTemplate>]
    def register_templates(source, handlers: {})
      workflow_registry.register(source, handlers: handlers)
                   .map { |handler| TaskerCore.client.register_task_template(handler.template) }
    end

    # @return [Registry] of this test: what {#register_templates} was given
    def workflow_registry = @workflow_registry ||= Registry.new

    # Runs steps until none is ready.
    #
    # @param task_id [Integer, nil] of this task and its sub-workflows only; nil for all of the registered templates
    # @param limit [Integer] steps after which something must be wrong
    # @param raise_errors [Boolean] whether the first failing step ends it; its failure is stored first
    # @param ahead [Boolean] let time pass where the task waits for a retry or its run_at; needs task_id
    #   and the right to set tasker_core.clock_offset
    # @return [Array<StepHandleResult>] of every attempt, in order
    def drain_tasks(task_id: nil, limit: 1_000, raise_errors: true, ahead: false)
      raise ArgumentError, "ahead: needs a task_id" if ahead && task_id.nil?

      TaskerCore.connection.with do
        return drain(task_id, limit, raise_errors, ahead)
      ensure
        move_clock(0) if ahead
      end
    end

    # Runs a task's steps until this one has been attempted.
    # @return [StepHandleResult]
    def execute_steps_up_to(task_id, name)
      inline = Inline.new
      loop do
        claim = next_claim(inline, task_id)
        unless claim
          test_failed("step #{name} of task #{task_id} cannot run:\n#{task_step_summary(task_id)}")
        end
        result = run_claim(inline, claim)
        return result if claim.task_id == task_id && claim.step_name == name.to_s
        raise result.error if result.failed?
      end
    end

    # @return [StepReadiness]
    def find_step_by_name(task_id, name)
      TaskerCore.client.get_step_readiness_status(task_id).find { |step| step.name == name.to_s } ||
        test_failed("task #{task_id} has no step #{name}:\n#{task_step_summary(task_id)}")
    end

    # @return [Boolean]
    def step_ready?(task_id, name) = find_step_by_name(task_id, name).ready?

    # @return [String] the task and its steps, a line each
    def task_step_summary(task_id)
      document = TaskerCore.client.get_task(task_id)
      steps = document.fetch("steps").map do |step|
        error = step["error"].is_a?(Hash) ? step["error"]["message"] : step["error"]
        "  #{step["name"]}: #{step["state"]}, #{step["attempts"]} attempts#{" (#{error})" if error}"
      end
      ["task #{task_id} is #{document.dig("task", "state")}", *steps].join("\n")
    end

    # @return [TaskExecutionContext]
    def assert_task_complete(task_id)
      execution = TaskerCore.client.get_task_execution_context(task_id)
      test_failed("no task #{task_id}") unless execution
      test_failed(task_step_summary(task_id)) unless execution.status == "complete"
      assert(true) if respond_to?(:assert) # counted
      execution
    end

    # The events of what the block does. Events are read when they are committed, so this is not for
    # tests inside a transaction.
    # @return [Array<Event>]
    def with_captured_events(pattern: "*", timeout: 60)
      if TaskerCore.connection.transaction_open?
        raise Error, "events cannot be read before the transaction that the test runs in commits"
      end

      client = TaskerCore.client
      start = client.events_lag.head
      yield
      marker = "test.captured.#{SecureRandom.hex(8)}"
      client.publish_event(marker)
      events_until(marker, start, pattern, Backoff.monotonic + timeout)
    end

    private

    def as_json(value) = JSON.parse(Codec.encode(value, "jsonb"), max_nesting: false, freeze: true)

    def test_claim(name, context:, dependencies:, config:, inputs:, attempt:, max_attempts:, checkpoint:)
      Claim.new(
        workflow_step_id: 1_000_001, task_id: 1, claim_token: 1, attempt: attempt, max_attempts: max_attempts,
        namespace: "test", task_name: "test", task_version: "0.1.0", step_name: name, handler_class: nil,
        handler_config: as_json(config), task_context: as_json(context), dependency_results: as_json(dependencies),
        inputs: as_json(inputs), checkpoint: as_json(checkpoint), priority: 0, correlation_id: nil,
        timeout_seconds: nil, lease_expires_at: Time.now + 60, handler_method: nil, handler_resolver: nil,
        queue: "default"
      )
    end

    def drain(task_id, limit, raise_errors, ahead)
      inline = Inline.new
      results = []
      deadline = nil
      loop do
        claim = next_claim(inline, task_id)
        if claim.nil?
          deadline ||= Backoff.monotonic + PATIENCE
          next if ahead && Backoff.monotonic < deadline && wait_for(task_id)

          return results
        end

        deadline = nil
        results << run_claim(inline, claim)
        raise results.last.error if raise_errors && results.last.failed?
        test_failed("#{limit} steps and no end") if results.size >= limit
      end
    end

    # A step of the task, or else of the tasks that run for steps of it.
    def next_claim(inline, task_id)
      family(task_id).each do |id|
        claim, = inline.claim(task_id: id, task_names: workflow_registry.task_names)
        return claim if claim
      end
      nil
    end

    # The task and its sub-workflows that have not ended, lazily, from the top.
    def family(task_id)
      return [task_id] if workflow_registry.to_a.all? { |handler| handler.template.workflows.empty? }

      Enumerator.new do |found|
        found << task_id
        SubWorkflow.open_children(task_id).each { |child| family(child.task_id).each { |id| found << id } } if task_id
      end
    end

    def run_claim(inline, claim)
      inline.run(claim, workflow_registry.fetch(claim.full_task_name, claim.task_version))
    end

    # @return [Boolean] whether another claim can find something
    def wait_for(task_id)
      steps = family(task_id).flat_map { |id| TaskerCore.client.get_step_readiness_status(id) }
      return true if steps.any?(&:ready?) # since a moment ago

      due = steps.reject(&:ready?).filter_map(&:next_retry_at).min or return false

      move_clock([due - Time.now, 0].max + 1)
    end

    def move_clock(seconds)
      TaskerCore.connection.query("SELECT set_config('tasker_core.clock_offset', $1::text, false)", [seconds.to_s])
      true
    end

    def events_until(marker, start, pattern, deadline)
      wanted = Events::Pattern.new([pattern])
      loop do
        events = Events.replay(after: start).to_a
        finish = events.index { |event| event.name == marker }
        return events.first(finish).select { |event| wanted.match?(event.name) } if finish

        test_failed("events are held back: #{TaskerCore.client.events_lag}") if Backoff.monotonic > deadline
        sleep(0.01)
      end
    end

    def test_failed(message)
      respond_to?(:flunk) ? flunk(message) : raise(Failed, message)
    end
  end
end
