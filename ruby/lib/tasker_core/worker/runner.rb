# frozen_string_literal: true

module TaskerCore
  class Worker
    # Runs one claimed step on a handler thread: look up, call, report.
    #
    # @api private
    class Runner
      # Seconds before a step nobody here can run is offered again.
      UNKNOWN_HANDLER_DELAY = 30
      # What steps without a handler here are counted as.
      UNKNOWN = "(unknown)"
      # After these the process is not worth keeping.
      FATAL = [NoMemoryError, SignalException].freeze

      # What is told about a handler that ended its own thread.
      class ThreadEnded < Error; end

      # What became of a step: the outcome as it is counted, a line for the log, and the error that ended it for good.
      Report = Struct.new(:outcome, :level, :message, :fields, :error)
      private_constant :Report

      # @param client [Client] on this thread's own connection
      # @param outbox [Outbox] where results go first
      # @param bell [Bell] rung when this step's end made other steps ready
      # @param stopping [#call] whether the worker is being stopped
      def initialize(client:, registry:, leases:, outbox:, worker_id:, lease_seconds:, metrics:, log:, bell:,
                     stopping: -> { false }, executor: nil)
        @client = client
        @registry = registry
        @leases = leases
        @outbox = outbox
        @worker_id = worker_id
        @lease_seconds = lease_seconds
        @metrics = metrics
        @log = log
        @bell = bell
        @stopping = stopping
        @executor = executor || ->(&block) { block.call }
      end

      # @param claim [Claim]
      def run(claim)
        started = Backoff.monotonic
        @task = claim.full_task_name
        handler = @registry.fetch(@task, claim.task_version)
        @step = handler&.definition_name(claim.step_name, claim.inputs)
        tell(claim, @step ? perform(claim, handler, started) : give_back(claim), started)
      end

      private

      def tell(claim, report, started)
        seconds = Backoff.monotonic - started
        @metrics.step_ended(@task, @step || UNKNOWN, report.outcome, seconds)
        @log.public_send(report.level, report.message, **about(claim), **(report.fields || {}),
                                                       seconds: seconds.round(3))
        TaskerCore.report_error(report.error, **about(claim)) if report.error && TaskerCore.on_error
      end

      def perform(claim, handler, started)
        attempt = Attempt.new(client: @client, claim: claim, worker_id: @worker_id, lease_seconds: @lease_seconds,
                              leases: @leases, stopping: @stopping)
        output = call(claim, handler, attempt, started)
        attempt.outcome ? ended(attempt) : complete(claim, output)
      rescue Exception => e # rubocop:disable Lint/RescueException -- a handler's exit must not end the worker
        report = after_raising(claim, attempt, e)
        raise if FATAL.any? { |fatal| e.is_a?(fatal) }

        report
      end

      def after_raising(claim, attempt, error)
        return ended(attempt, error) if attempt&.outcome
        return dropped("failure", error) if @leases.lost?(claim)

        failed(claim, error)
      end

      # No exception passes by when a handler ends its thread, so only its
      # absence tells; what has to be done is done while the thread dies.
      def call(claim, handler, attempt, started)
        left = true
        output = attempt.watch do
          @executor.call do
            handler.process_step_with_handler(Task.of(claim), StepSequence.new(claim.dependency_results),
                                              Step.new(claim, attempt))
          end
        end
        left = false
        output
      rescue Exception # rubocop:disable Lint/RescueException -- raised on
        left = false
        raise
      ensure
        if left
          error = ThreadEnded.new("the handler ended its thread (Thread.exit, Thread#kill)")
          tell(claim, attempt.outcome ? ended(attempt, error) : failed(claim, error), started)
        end
      end

      # A result goes along with the next claim, or by itself.
      def complete(claim, output)
        results = Results.encode(output)
        @leases.reporting(claim)
        answer = @outbox.deliver(claim, results) { |items| hand_over(items) } if results.batchable?
        raise answer if answer.is_a?(Exception)
        return completed(nil) if answer

        @metrics.add(:results_alone)
        completed(report(claim) { Results.store(@client, claim, results) })
      rescue LeaseLost => e
        dropped("result", e)
      rescue DatabaseError => e
        unreported(e)
      end

      # The claimer was busy for too long, so this thread sends what waits.
      def hand_over(items)
        rows = @client.complete_steps(workflow_step_ids: items.map(&:workflow_step_id),
                                      claim_tokens: items.map(&:claim_token), results: items.map(&:results))
        rows = rows.to_h { |row| [row.workflow_step_id, row] }
        @metrics.add(:results_batched, items.size)
        @outbox.answer(items) { |item| Results.status(rows.fetch(item.workflow_step_id)) }
        @bell.ring if rows.each_value.any? { |row| row.steps_ready.to_i.positive? }
      rescue DatabaseError
        @outbox.answer(items) { nil }
      end

      # @param completion [Completion, nil] nil when somebody else has seen what became ready
      def completed(completion)
        @bell.ring if completion&.steps_ready.to_i.positive?
        Report.new("completed", :info, "step completed")
      end

      # @param error [Exception, nil] raised by the handler after its step had ended
      def ended(attempt, error = nil)
        return failure(attempt.answer, error) if attempt.outcome == :failed && error.equal?(attempt.error)
        return raised_late(attempt, error) if error
        return failure(attempt.answer, attempt.error) if attempt.outcome == :failed

        @bell.ring
        return Report.new("yielded", :info, "step yielded") if attempt.outcome == :yielded

        completed(attempt.answer)
      end

      def raised_late(attempt, error)
        @bell.ring
        Report.new(attempt.outcome.to_s, :error, "handler raised after its step had ended; what was committed stands",
                   { error: "#{error.class}: #{error.message}" })
      end

      def failed(claim, error)
        @leases.reporting(claim)
        failure(report(claim) { FailureReport.deliver(@client, claim, error) }, error)
      rescue LeaseLost => e
        dropped("failure", e)
      rescue DatabaseError => e
        unreported(e)
      end

      # @param failure [Failure, nil] nil when the answer was lost
      def failure(failure, error)
        @bell.ring(failure&.next_retry_at ? [failure.next_retry_at - Time.now, 0].max : 0)
        Report.new("failed", :warn, "step failed",
                   { error: "#{error.class}: #{FailureReport.of(error)[:message].lines.first.to_s.chomp}",
                     state: failure&.step_state, next_retry_at: failure&.next_retry_at },
                   (error if failure&.step_state == "error"))
      end

      # Both reports are idempotent by claim token, so one whose answer was lost
      # is simply sent again for as long as the claim can be ours.
      def report(claim, &block)
        Backoff.retrying(deadline: -> { @leases.deadline(claim) }, &block)
      end

      def dropped(what, error)
        Report.new("lease_lost", :warn, "lease lost, #{what} dropped", { error: error.message })
      end

      def unreported(error)
        Report.new("unreported", :error, "step outcome could not be reported; it will run again when its lease ends",
                   { error: "#{error.class}: #{error.message}" })
      end

      # Only a template newer than this process has steps it does not know:
      # another worker may have them, and the attempt is not used up.
      def give_back(claim)
        report(claim) do
          @client.release_steps(workflow_step_ids: [claim.workflow_step_id], claim_tokens: [claim.claim_token],
                                delay_seconds: UNKNOWN_HANDLER_DELAY)
        end
        Report.new("released", :error, "no handler for this step in this process; given back",
                   { task_version: claim.task_version, handler_class: claim.handler_class })
      rescue DatabaseError => e
        Report.new("unreported", :error, "step could not be given back", { error: e.message })
      end

      def about(claim)
        { task: @task, step: claim.step_name, workflow_step_id: claim.workflow_step_id,
          attempt: claim.attempt }
      end
    end
  end
end
