# frozen_string_literal: true

module TaskerCore
  class Worker
    # What {Step#transaction} runs in: the handler's writes and the completion of
    # its step commit together or not at all.
    #
    # The claim is checked first, which also locks the step's row: nobody can take
    # the step before the transaction ends, however long it lasts. The completion
    # is the last statement.
    #
    # @api private
    class StepTransaction
      # @return [Completion, nil] the extension's answer, when it arrived
      attr_reader :completion

      # @param connection [Connection] this thread's own
      # @param claim [Claim]
      # @param leases [Leases] keeps the heartbeat away from the locked row
      def initialize(connection:, claim:, worker_id:, lease_seconds:, leases:)
        @connection = connection
        @client = Client.new(connection)
        @claim = claim
        @worker_id = worker_id
        @lease_seconds = lease_seconds
        @leases = leases
        @completed = false
        @completion = nil
      end

      # @return [Boolean] whether the step is complete, by this transaction or an earlier one
      def completed? = @completed

      # @return the block's value; nil after a {Rollback} of the block's own
      # @raise [LeaseLost, TransactionAborted, ConnectionError]
      def run(&block)
        raise Error, "the step is complete already: one step.transaction per attempt" if @completed
        if @connection.transaction_open?
          raise Error, "step.transaction must be the outermost transaction of its connection"
        end

        @leases.hold(@claim.workflow_step_id) { commit_together(&block) }
      end

      private

      def commit_together
        value = answer = nil
        @connection.transaction do |pg|
          check_claim
          value = yield pg
          check_still_open(pg)
          answer = Results.store(@client, @claim, value)
          # Rolling back leaves the earlier completion as it is, and this block without effect.
          raise Rollback if answer.already_completed?
        end
        @completed = !answer.nil?
        @completion = answer
        value
      rescue CommitUnknown => e
        find_outcome(value, e)
      end

      def check_claim
        lost = @client.heartbeat(worker_id: @worker_id, workflow_step_ids: [@claim.workflow_step_id],
                                 claim_tokens: [@claim.claim_token], lease_seconds: @lease_seconds)
        return if lost.empty?

        raise LeaseLost, "step #{@claim.workflow_step_id} is no longer held by this claim"
      end

      def check_still_open(pg)
        return if pg.transaction_status == PG::PQTRANS_INTRANS

        raise TransactionAborted, "the block of step.transaction ended the transaction itself, or hid a failed " \
                                  "statement; the step is not completed"
      end

      # COMMIT was sent and its answer lost. Completing again with the same token
      # tells: already completed means it was committed. An attempt still being
      # committed holds the row's lock, so the question waits for it. Whatever
      # the answer, this transaction leaves nothing behind.
      def find_outcome(value, error)
        deadline = Backoff.monotonic + @lease_seconds
        committed = nil
        Backoff.retrying(deadline: -> { deadline }) do
          @connection.transaction do
            committed = Results.store(@client, @claim, value).already_completed?
            raise Rollback
          end
        end
        unless committed
          raise ConnectionError, "the connection was lost before the transaction committed (#{error.message}); " \
                                 "nothing of it is stored"
        end

        @completed = true
        value
      end
    end
  end
end
