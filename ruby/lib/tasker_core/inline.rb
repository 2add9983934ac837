# frozen_string_literal: true

require "securerandom"

module TaskerCore
  # Runs steps in the caller's thread and on the caller's connection, inside its
  # transaction if there is one: for tests, consoles and {TaskHandler::Base#handle}.
  # There are no heartbeats; a worker is made for the rest.
  #
  # @api private
  class Inline
    # What is written about a claim, and in what transaction.
    class Desk
      def initialize(client)
        @client = client
      end

      # A savepoint inside the caller's transaction, else a transaction.
      def atomically(&block)
        connection = @client.connection
        return connection.transaction(&block) unless connection.transaction_open?

        connection.with { |pg| savepoint(pg, &block) }
      end

      # Runs the block so that an error leaves the caller's transaction usable.
      def guarded
        connection = @client.connection
        return yield unless connection.transaction_open?

        connection.query("SAVEPOINT tasker_inline_step")
        begin
          yield
        rescue StandardError, ScriptError
          connection.with do |pg|
            pg.exec("ROLLBACK TO SAVEPOINT tasker_inline_step") if pg.transaction_status == PG::PQTRANS_INERROR
          end
          raise
        end
      end

      # @return [Completion, Failure, true]
      def record(claim, kind, value)
        token = { workflow_step_id: claim.workflow_step_id, claim_token: claim.claim_token }
        case kind
        when :complete then Worker::Results.store(@client, claim, value)
        when :fail
          @client.fail_step(**token, error: Worker::FailureReport.of(value),
                                     retryable: Worker::FailureReport.retryable?(value),
                                     retry_after_seconds: Worker::FailureReport.retry_after(value))
        else @client.checkpoint_step(**token, checkpoint: value, yield: kind == :yield)
        end
      end

      private

      def savepoint(pg)
        pg.exec("SAVEPOINT tasker_inline")
        value = yield pg
        pg.exec("RELEASE SAVEPOINT tasker_inline")
        value
      rescue StandardError, ScriptError
        pg.exec("ROLLBACK TO SAVEPOINT tasker_inline")
        raise
      end
    end

    # What a {Step} asks for while it runs here; see {Step} for the meaning.
    class Attempt
      ENDED = { complete: "complete", fail: "failed", yield: "yielded" }.freeze
      private_constant :ENDED

      # @return [String, nil] complete, failed or yielded, once the step has ended
      attr_reader :outcome
      # @return the results or the error it ended with
      attr_reader :value
      # @return what the extension said to it
      attr_reader :answer
      # @return the last checkpoint
      attr_reader :checkpoint

      def initialize(claim, desk)
        @claim = claim
        @desk = desk
        @checkpoint = claim.checkpoint
        @unwind = Object.new
        @inside = false
      end

      def completed? = @outcome == "complete"

      def lost? = false

      def stopping? = false

      def watch
        catch(@unwind) { return yield }
        nil
      end

      def transaction(&block) = together(:complete, &block)

      def fail!(error)
        raise Error, "step.fail! belongs into the block of step.transaction; elsewhere raise the error" unless @inside

        throw(self, [:fail, error])
      end

      def save_checkpoint(data = nil, &block)
        return together(:checkpoint, &block) if block

        @desk.record(@claim, :checkpoint, data)
        @checkpoint = data
      end

      def yield!(data)
        throw(self, [:yield, data]) if @inside
        settle(:yield, data, @desk.record(@claim, :yield, data))
      end

      private

      def together(kind)
        raise Error, "the step has ended already: #{@outcome}" if @outcome

        ending = answer = nil
        @desk.atomically do |pg|
          @inside = true
          ending = catch(self) { [kind, yield(pg)] }
          answer = @desk.record(@claim, *ending)
        ensure
          @inside = false
        end
        settle(*ending, answer)
      end

      def settle(kind, value, answer)
        return @checkpoint = value if kind == :checkpoint

        @outcome = ENDED.fetch(kind)
        @value = value
        @answer = answer
        @checkpoint = value if kind == :yield
        throw(@unwind) if kind == :yield
        raise value if kind == :fail

        value
      end
    end

    # @return [Client]
    attr_reader :client

    # @param client [Client]
    # @param worker_id [String]
    def initialize(client: TaskerCore.client, worker_id: "inline-#{SecureRandom.hex(4)}", lease: 300)
      @client = client
      @worker_id = worker_id
      @lease = lease
      @desk = Desk.new(client)
    end

    # @return [Array<Claim>]
    def claim(**filters) = @client.claim_steps(worker_id: @worker_id, lease_seconds: @lease, **filters)

    # @param claims [Array<Claim>]
    def give_back(claims)
      return if claims.empty?

      @client.release_steps(workflow_step_ids: claims.map(&:workflow_step_id), claim_tokens: claims.map(&:claim_token))
    end

    # @param claim [Claim]
    # @param handler [TaskHandler::Base]
    # @return [StepHandleResult]
    def run(claim, handler)
      attempt = Attempt.new(claim, @desk)
      started = Backoff.monotonic
      outcome, value, answer = perform(claim, handler, attempt)
      StepHandleResult.new(
        workflow_step_id: claim.workflow_step_id, task_id: claim.task_id, step_name: claim.step_name, status: outcome,
        results: (value if outcome == "complete"), error: (value if value.is_a?(Exception)), attempt: claim.attempt,
        max_attempts: claim.max_attempts, next_retry_at: (answer.next_retry_at if answer.is_a?(Failure)),
        execution_time_ms: ((Backoff.monotonic - started) * 1_000).round(3)
      )
    end

    private

    def perform(claim, handler, attempt)
      output = @desk.guarded do
        attempt.watch do
          handler.process_step_with_handler(Task.of(claim), StepSequence.new(claim.dependency_results),
                                            Step.new(claim, attempt))
        end
      end
      return [attempt.outcome, attempt.value, attempt.answer] if attempt.outcome

      ["complete", output, @desk.guarded { @desk.record(claim, :complete, output) }]
    rescue LeaseLost
      raise
    rescue StandardError, ScriptError => e
      return [attempt.outcome, attempt.value, attempt.answer] if attempt.outcome

      ["failed", e, @desk.record(claim, :fail, e)]
    end
  end
end
