# frozen_string_literal: true

require "socket"

module TaskerCore
  class Worker
    # What a {Step} can do while a worker runs it, and how it ended if it ended
    # before its handler did.
    #
    # Everything that must be exactly once is one transaction: the claim is
    # checked first, which also locks the step's row, so that nobody can take the
    # step before the transaction ends, however long it lasts; then come the
    # handler's writes; what becomes of the step is the last statement.
    #
    # @api private
    class Attempt
      # How a block ends: `kind` is complete, fail, yield or checkpoint; `value` its results, error or data.
      Ending = Struct.new(:kind, :value)
      OUTCOMES = { complete: :completed, fail: :failed, yield: :yielded }.freeze
      private_constant :Ending, :OUTCOMES

      # @return [Symbol, nil] :completed, :failed or :yielded, once the step has ended
      attr_reader :outcome
      # @return [Completion, Failure, nil] the extension's answer, when it arrived
      attr_reader :answer
      # @return [Exception, nil] what {#fail!} was given
      attr_reader :error

      # @param client [Client] on this thread's own connection
      # @param claim [Claim]
      # @param leases [Leases] keeps the heartbeat away from the locked row
      # @param stopping [#call] whether the worker is being stopped
      def initialize(client:, claim:, worker_id:, lease_seconds:, leases:, stopping: -> { false })
        @client = client
        @connection = client.connection
        @claim = claim
        @worker_id = worker_id
        @lease_seconds = lease_seconds
        @leases = leases
        @stopping = stopping
        @checkpoint = claim.checkpoint
        @unwind = Object.new
      end

      # @return the last checkpoint, of this attempt or an earlier one
      attr_reader :checkpoint

      def completed? = @outcome == :completed

      def lost? = @leases.lost?(@claim)

      def stopping? = @stopping.call

      # Runs the handler, which {#yield!} leaves early.
      # @return what the block returns; nil after {#yield!}
      def watch
        catch(@unwind) { return yield }
        nil
      end

      # @see Step#transaction
      def transaction(&block) = commit_together(:complete, &block)

      # @see Step#fail!
      def fail!(error)
        raise ArgumentError, "fail! takes an exception, not #{error.class}" unless error.is_a?(Exception)
        raise Error, "step.fail! belongs into the block of step.transaction; elsewhere raise the error" unless @pg

        throw(self, Ending.new(:fail, error))
      end

      # @see Step#checkpoint
      def save_checkpoint(data = nil, &block)
        return commit_together(:checkpoint, &block) if block

        if @pg
          send_checkpoint(data)
        else
          refuse_after_the_end
          reporting { send_checkpoint(data) }
        end
        @checkpoint = data
      end

      # @see Step#yield!
      def yield!(data)
        throw(self, Ending.new(:yield, data)) if @pg
        refuse_after_the_end
        reporting { send_checkpoint(data, yield: true) }
        settle(Ending.new(:yield, data), nil)
      end

      private

      def commit_together(kind, &block)
        refuse_after_the_end
        if @connection.transaction_open?
          raise Error, "step.transaction must be the outermost transaction of its connection"
        end

        ending = answer = nil
        @leases.hold(@claim, -> { sever }) do
          @connection.transaction do |pg|
            ending = run_block(pg, kind, &block)
            answer = send_ending(ending)
            # Rolling back leaves the earlier completion as it is, and this block without effect.
            raise Rollback if ending.kind == :complete && answer.already_completed?
          end
        rescue CommitUnknown => e
          answer = find_outcome(ending, e)
        ensure
          @pg = nil
        end
        settle(ending, answer) if answer
      end

      def refuse_after_the_end
        raise Error, "the step has ended already: #{@outcome}" if @outcome
      end

      def run_block(pg, kind)
        @pg = pg
        check_claim
        ending = catch(self) { Ending.new(kind, yield(pg)) }
        return ending if pg.transaction_status == PG::PQTRANS_INTRANS

        raise TransactionAborted, "the block of step.transaction ended the transaction itself, or hid a failed " \
                                  "statement; nothing is recorded for the step"
      end

      def check_claim
        lost = @client.heartbeat(worker_id: @worker_id, workflow_step_ids: [@claim.workflow_step_id],
                                 claim_tokens: [@claim.claim_token], lease_seconds: @lease_seconds)
        return if lost.empty?

        @leases.lose([@claim])
        raise LeaseLost, "step #{@claim.workflow_step_id} is no longer held by this claim"
      end

      def send_ending(ending)
        case ending.kind
        when :complete then Results.store(@client, @claim, ending.value)
        when :fail then FailureReport.deliver(@client, @claim, ending.value)
        else send_checkpoint(ending.value, yield: ending.kind == :yield)
        end
      end

      def send_checkpoint(data, **options)
        @client.checkpoint_step(workflow_step_id: @claim.workflow_step_id, claim_token: @claim.claim_token,
                                checkpoint: data, **options)
      end

      # Nobody else has a say about the step as long as the claim is held, so
      # what may pass is tried again until the lease ends.
      def reporting(&block)
        Backoff.retrying(deadline: -> { @leases.deadline(@claim) }, &block)
      end

      # @param answer the extension's; true when it was lost and the outcome is known otherwise
      # @return what the block came to
      def settle(ending, answer)
        if ending.kind == :checkpoint
          @checkpoint = ending.value
          return ending.value
        end

        @outcome = OUTCOMES.fetch(ending.kind)
        @answer = answer unless answer == true
        @checkpoint = ending.value if ending.kind == :yield
        throw(@unwind) if ending.kind == :yield
        raise(@error = ending.value) if ending.kind == :fail

        ending.value
      end

      # COMMIT was sent and its answer lost, so the extension is asked, in a
      # transaction that leaves nothing behind whatever it says. An attempt still
      # being committed holds the row's lock, so the question waits for it.
      # @return [true] it was committed
      # @raise [ConnectionError] it was not
      def find_outcome(ending, error)
        deadline = Backoff.monotonic + @lease_seconds
        committed = nil
        Backoff.retrying(deadline: -> { deadline }) do
          @connection.transaction do
            committed = committed?(ending)
            raise Rollback
          end
        end
        return true if committed

        raise ConnectionError, "the connection was lost before the transaction committed (#{error.message}); " \
                               "nothing of it is stored"
      end

      # Completing again with the same token tells what became of the first time.
      # Other endings leave the claim with nobody, or untouched: a checkpoint is
      # safe to be taken for lost, because whoever goes on reads what is stored.
      def committed?(ending)
        case ending.kind
        when :complete then Results.store(@client, @claim, ending.value).already_completed?
        when :checkpoint then false
        else
          !@client.heartbeat(worker_id: @worker_id, workflow_step_ids: [@claim.workflow_step_id],
                             claim_tokens: [@claim.claim_token], lease_seconds: @lease_seconds).empty?
        end
      end

      # Ends the transaction from another thread: its statement is cancelled, and
      # the server rolls back what it can no longer talk to anybody about. None
      # of this touches the state of the driver's connection.
      def sever
        pg = @pg or return

        pg.cancel
        socket = Socket.for_fd(pg.socket_io.fileno)
        socket.autoclose = false
        socket.shutdown(Socket::SHUT_RDWR)
      rescue PG::Error, SystemCallError, IOError
        nil # gone already
      end
    end
  end
end
