# frozen_string_literal: true

module TaskerCore
  class Worker
    # The claims this worker holds, and until when.
    #
    # @api private
    class Leases
      # `deadline` is monotonic time; `held` while step.transaction has the row locked.
      Entry = Struct.new(:claim, :deadline, :held, :released)
      private_constant :Entry

      def initialize
        @mutex = Mutex.new
        @entries = {}
        # Whoever talks to the server about many claims at once must not meet
        # one whose row a handler's transaction has locked, or it would wait for
        # that handler; so transactions start and such calls run one at a time.
        @gate = Mutex.new
      end

      def add(claims, lease_seconds)
        deadline = Backoff.monotonic + lease_seconds
        @mutex.synchronize do
          claims.each { |claim| @entries[claim.workflow_step_id] = Entry.new(claim, deadline, false, false) }
        end
      end

      def remove(id) = @mutex.synchronize { @entries.delete(id) }

      def size = @mutex.synchronize { @entries.size }

      def empty? = size.zero?

      # @return [Float] monotonic time; the past for an unknown claim
      def deadline(id) = @mutex.synchronize { @entries[id]&.deadline || 0.0 }

      # @return [Array<Claim>]
      def claims = @mutex.synchronize { @entries.values.map(&:claim) }

      # @yieldparam claims [Array<Claim>] those not locked by a handler's transaction
      def renewing(lease_seconds)
        @gate.synchronize do
          claims = free_claims
          started = Backoff.monotonic
          lost = yield claims
          renew(claims.map(&:workflow_step_id) - lost, started + lease_seconds)
          lost
        end
      end

      # After this no transaction can begin on the claims yielded.
      # @yieldparam claims [Array<Claim>]
      def releasing
        @gate.synchronize do
          claims = free_claims
          @mutex.synchronize { claims.each { |claim| @entries[claim.workflow_step_id]&.released = true } }
          yield claims
        end
      end

      # Marks a claim as locked by a handler's transaction for the length of the block.
      def hold(id)
        @gate.synchronize { mark_held(id) }
        yield
      ensure
        @mutex.synchronize { @entries[id]&.held = false }
      end

      private

      def free_claims
        @mutex.synchronize { @entries.values.reject(&:held).map(&:claim) }
      end

      def renew(ids, deadline)
        @mutex.synchronize { ids.each { |id| @entries[id]&.deadline = deadline } }
      end

      def mark_held(id)
        @mutex.synchronize do
          entry = @entries[id]
          raise LeaseLost, "step #{id} was given back by this worker" if entry.nil? || entry.released

          entry.held = true
        end
      end
    end
  end
end
