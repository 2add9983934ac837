# frozen_string_literal: true

module TaskerCore
  class Worker
    # The claims this worker holds, and until when. Two of them may be of one
    # step: a handler whose lease was lost still runs when the next attempt begins.
    #
    # @api private
    class Leases
      # `deadline` is monotonic time; `held` while step.transaction has the row
      # locked: what ends that transaction from outside.
      Entry = Struct.new(:claim, :deadline, :held, :released, :lost, :reporting)
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
          claims.each { |claim| @entries[claim.claim_token] = Entry.new(claim, deadline) }
        end
      end

      def remove(*claims)
        @mutex.synchronize { claims.each { |claim| @entries.delete(claim.claim_token) } }
      end

      def size = @mutex.synchronize { @entries.size }

      def empty? = size.zero?

      # @return [Float] monotonic time; the past for an unknown claim
      def deadline(claim) = @mutex.synchronize { @entries[claim.claim_token]&.deadline || 0.0 }

      # The handler is done; from here on the server may end the claim any moment.
      def reporting(claim)
        @mutex.synchronize { @entries[claim.claim_token]&.reporting = true }
      end

      # @return [Boolean] whether the claim is not held any more, as far as is known here
      def lost?(claim)
        @mutex.synchronize do
          entry = @entries[claim.claim_token]
          entry.nil? || entry.lost || entry.released || false
        end
      end

      # @return [Array<Claim>]
      def claims = @mutex.synchronize { @entries.values.map(&:claim) }

      # @yieldparam claims [Array<Claim>] those not locked by a handler's transaction, one a step
      # @yieldreturn [Array<Integer>] ids of the steps that are lost
      # @return [Array<Claim>] those that turned out to be lost while their handler runs
      def renewing(lease_seconds)
        @gate.synchronize do
          claims = renewable
          started = Backoff.monotonic
          ids = yield claims
          lost, kept = claims.partition { |claim| ids.include?(claim.workflow_step_id) }
          renew(kept, started + lease_seconds)
          lose(lost)
        end
      end

      # After this no transaction can begin on the claims yielded, and those
      # under way are ended: the server rolls them back.
      # @yieldparam claims [Array<Claim>] all
      def releasing
        @gate.synchronize do
          entries = @mutex.synchronize { @entries.values.each { |entry| entry.released = true } }
          entries.each { |entry| entry.held&.call }
          yield newest(entries).map(&:claim)
        end
      end

      # Marks a claim as locked by a handler's transaction for the length of the block.
      # @param interrupt [#call] ends that transaction; called from another thread
      def hold(claim, interrupt)
        @gate.synchronize { mark_held(claim, interrupt) }
        yield
      ensure
        @mutex.synchronize { @entries[claim.claim_token]&.held = nil }
      end

      # Notes that the server does not know these claims any more.
      # @return [Array<Claim>] those whose handler still runs
      def lose(claims)
        @mutex.synchronize do
          entries = claims.filter_map { |claim| @entries[claim.claim_token] }.reject(&:reporting)
          entries.each { |entry| entry.lost = true }.map(&:claim)
        end
      end

      private

      def renewable
        @mutex.synchronize { newest(@entries.values.reject { |entry| entry.held || entry.lost }).map(&:claim) }
      end

      # The server takes a step once a call.
      def newest(entries) = entries.reverse.uniq { |entry| entry.claim.workflow_step_id }.reverse

      def renew(claims, deadline)
        @mutex.synchronize { claims.each { |claim| @entries[claim.claim_token]&.deadline = deadline } }
      end

      def mark_held(claim, interrupt)
        @mutex.synchronize do
          entry = @entries[claim.claim_token]
          if entry.nil? || entry.released
            raise LeaseLost, "step #{claim.workflow_step_id} was given back by this worker"
          end

          entry.held = interrupt
        end
      end
    end
  end
end
