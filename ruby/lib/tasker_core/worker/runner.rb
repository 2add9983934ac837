# frozen_string_literal: true

module TaskerCore
  class Worker
    # Runs one claimed step on a handler thread: look up, call, report.
    #
    # @api private
    class Runner
      # Seconds before a step nobody here can run is offered again.
      UNKNOWN_HANDLER_DELAY = 30
      # After these the process is not worth keeping.
      FATAL = [NoMemoryError, SignalException].freeze

      # @param connection [Connection] this thread's own
      # @param bell [Bell] rung when this step's end made other steps ready
      def initialize(connection:, registry:, leases:, worker_id:, lease_seconds:, log:, bell:)
        @connection = connection
        @client = Client.new(connection)
        @registry = registry
        @leases = leases
        @worker_id = worker_id
        @lease_seconds = lease_seconds
        @log = log
        @bell = bell
      end

      # @param claim [Claim]
      def run(claim)
        handler = @registry.fetch(claim.full_task_name, claim.task_version)
        return give_back(claim) unless handler&.get_step_handler_from_name(claim.step_name)

        started = Backoff.monotonic
        outcome = perform(claim, handler)
        @log.public_send(outcome.fetch(:level), outcome.fetch(:message), **about(claim),
                         **outcome.fetch(:fields, {}), seconds: (Backoff.monotonic - started).round(3))
      end

      private

      def perform(claim, handler)
        unit = StepTransaction.new(connection: @connection, claim: claim, worker_id: @worker_id,
                                   lease_seconds: @lease_seconds, leases: @leases)
        output = handler.process_step_with_handler(Task.of(claim), StepSequence.new(claim.dependency_results),
                                                   Step.new(claim, unit))
        unit.completed? ? completed(unit.completion) : complete(claim, output)
      rescue LeaseLost => e
        { level: :warn, message: "lease lost, result dropped", fields: { error: e.message } }
      rescue Exception => e # rubocop:disable Lint/RescueException -- a handler's exit must not end the worker
        result = unit&.completed? ? after_completion(e) : failed(claim, e)
        raise if FATAL.any? { |fatal| e.is_a?(fatal) }

        result
      end

      def complete(claim, output)
        completed(report(claim) { Results.store(@client, claim, output) })
      rescue LeaseLost
        raise
      rescue DatabaseError => e
        unreported(e)
      end

      # @param completion [Completion, nil] nil when the answer was lost
      def completed(completion)
        @bell.ring if completion.nil? || completion.steps_ready.to_i.positive?
        { level: :info, message: "step completed" }
      end

      def failed(claim, error)
        failure = report(claim) { send_failure(claim, error) }
        @bell.ring(failure.next_retry_at ? [failure.next_retry_at - Time.now, 0].max : 0)
        { level: :warn, message: "step failed",
          fields: { error: "#{error.class}: #{FailureReport.of(error)[:message].lines.first.to_s.chomp}",
                    state: failure.step_state, next_retry_at: failure.next_retry_at } }
      rescue LeaseLost => e
        { level: :warn, message: "lease lost, failure dropped", fields: { error: e.message } }
      rescue DatabaseError => e
        unreported(e)
      end

      def send_failure(claim, error)
        @client.fail_step(
          workflow_step_id: claim.workflow_step_id, claim_token: claim.claim_token,
          error: FailureReport.of(error), retryable: FailureReport.retryable?(error),
          retry_after_seconds: FailureReport.retry_after(error)
        )
      end

      # Both reports are idempotent by claim token, so one whose answer was lost
      # is simply sent again for as long as the claim can be ours.
      def report(claim, &block)
        Backoff.retrying(deadline: -> { @leases.deadline(claim.workflow_step_id) }, &block)
      end

      def unreported(error)
        { level: :error, message: "step outcome could not be reported; it will run again when its lease ends",
          fields: { error: "#{error.class}: #{error.message}" } }
      end

      def after_completion(error)
        { level: :error, message: "handler raised after its step was complete; the completion stands",
          fields: { error: "#{error.class}: #{error.message}" } }
      end

      # Only a template newer than this process has steps it does not know:
      # another worker may have them, and the attempt is not used up.
      def give_back(claim)
        report(claim) do
          @client.release_steps(workflow_step_ids: [claim.workflow_step_id], claim_tokens: [claim.claim_token],
                                delay_seconds: UNKNOWN_HANDLER_DELAY)
        end
        @log.error("no handler for this step in this process; given back", **about(claim),
                   task_version: claim.task_version, handler_class: claim.handler_class)
      rescue DatabaseError => e
        @log.error("step could not be given back", **about(claim), error: e.message)
      end

      def about(claim)
        { task: claim.full_task_name, step: claim.step_name, workflow_step_id: claim.workflow_step_id,
          attempt: claim.attempt }
      end
    end
  end
end
