# frozen_string_literal: true

module TaskerCore
  class Worker
    # Asks for as many steps as there are free handler threads, and no more:
    # what one worker hoards another cannot run. Results that wait in the outbox
    # go along with the question.
    #
    # @api private
    class Claimer
      OUTAGE_LOG_INTERVAL = 60
      # Seconds between looks of an idle worker that hears notifications, at most.
      IDLE_POLL_INTERVAL = 30.0

      # @param filters [Hash] namespaces and task_names of claim_steps
      # @param outbox [Outbox] results to hand over
      # @param probe [Probe, nil] of the listener
      # @param max_steps [Integer, nil] claims to take in all
      # @yieldparam claims [Array<Claim>]
      def initialize(connection:, worker_id:, concurrency:, lease_seconds:, poll_interval:, filters:, leases:,
                     bell:, outbox:, metrics:, log:, probe: nil, max_steps: nil, &deliver)
        @client = Client.new(connection)
        @worker_id = worker_id
        @concurrency = concurrency
        @lease_seconds = lease_seconds
        @poll_interval = poll_interval
        @filters = filters
        @leases = leases
        @bell = bell
        @outbox = outbox
        @metrics = metrics
        @log = log
        @probe = probe
        @remaining = max_steps
        @deliver = deliver
        @stopping = false
        @failures = 0
        @idle = 0
        @hungry = false
        @came_round_at = Backoff.monotonic
      end

      # @return [Float] monotonic time of the last round; far in the past when a call hangs
      attr_reader :came_round_at

      # Claims until told to stop or until max_steps are taken. After that
      # whoever has a result hands it over alone.
      def run
        until @stopping || exhausted?
          @came_round_at = Backoff.monotonic
          next if once

          probe
          @idle = 0 if @bell.wait(pause)
        end
      ensure
        @outbox.close
      end

      # A handler thread is free again, which matters only if there may be more to claim.
      def slot_freed
        @bell.ring if @hungry
      end

      def stop
        @stopping = true
        @bell.ring
      end

      # @return [Boolean] whether max_steps are taken
      def exhausted? = !@remaining.nil? && @remaining <= 0

      # @return [Boolean] whether the last call failed
      def failing? = @failures.positive?

      # Seconds between two looks: longer and longer while there is nothing to do
      # and notifications are known to arrive, but well within a lease, because
      # nothing tells when the lease of a dead worker ends.
      # @return [Float]
      def interval
        return @poll_interval unless @probe&.healthy?

        longest = [@poll_interval, [IDLE_POLL_INTERVAL, @lease_seconds / 2.0].min].max
        [@poll_interval * (2**[@idle, 16].min), longest].min
      end

      private

      def free = [@concurrency - @leases.size, 0].max

      # @return [Boolean] whether to go on at once
      def once
        batch = @outbox.take
        wanted = [free + batch.size, @remaining].compact.min
        if batch.empty? && wanted.zero?
          @hungry = true
          return false
        end
        @hungry = batch.empty? ? claim(wanted) : hand_over_and_claim(batch, wanted)
        @outbox.any? || (@hungry && free.positive?)
      end

      # @return [Boolean] whether there may be more to claim
      def claim(wanted)
        take(@client.claim_steps(max_steps: wanted, **request), wanted)
      rescue DatabaseError => e
        failed(e)
        false
      end

      # The whole call fails or none of it, and its items are idempotent by their
      # tokens: so after a failure each handler thread sends its own again.
      def hand_over_and_claim(batch, wanted)
        rows = @client.complete_and_claim(
          workflow_step_ids: batch.map(&:workflow_step_id), claim_tokens: batch.map(&:claim_token),
          results: batch.map(&:results), max_steps: wanted, **request
        )
        claims, rejected = rows.partition(&:claim?)
        settle(batch, rejected)
        take(claims.map(&:to_claim), wanted)
      rescue DatabaseError => e
        @outbox.answer(batch) { nil }
        failed(e) if e.retryable?
        false
      end

      def settle(batch, rejected)
        rejected = rejected.to_h { |row| [row.completed_step_id, row] }
        @metrics.add(:results_batched, batch.size)
        @leases.remove(*batch.reject { |item| rejected.key?(item.workflow_step_id) })
        @outbox.answer(batch) { |item| Results.status(rejected[item.workflow_step_id]) }
      end

      def request = { worker_id: @worker_id, lease_seconds: @lease_seconds, **@filters }

      # @return [Boolean] whether there may be more to claim
      def take(claims, wanted)
        recovered
        @metrics.add(:claim_calls)
        return wanted.zero? if claims.empty?

        @idle = 0
        @metrics.add(:steps_claimed, claims.size)
        @leases.add(claims, @lease_seconds)
        @remaining -= claims.size if @remaining
        @deliver.call(claims)
        claims.size == wanted
      end

      def probe
        @probe&.tend
      rescue DatabaseError => e
        failed(e)
      end

      # A quarter of chance keeps the polls of many workers apart.
      def pause
        return Backoff.delay(@failures - 1) if failing?

        seconds = interval * rand(0.875..1.125)
        @idle += 1
        @probe ? [seconds, @probe.wait].min : seconds
      end

      def failed(error)
        @failures += 1
        @metrics.add(:claim_errors)
        now = Backoff.monotonic
        return if @logged_at && now - @logged_at < OUTAGE_LOG_INTERVAL

        @logged_at = now
        @log.error("claiming failed, trying on", error: "#{error.class}: #{error.explanation}")
      end

      def recovered
        return if @failures.zero?

        @log.info("claiming works again", failures: @failures)
        @failures = 0
        @logged_at = nil
      end
    end
  end
end
