# frozen_string_literal: true

module TaskerCore
  class Worker
    # Asks for as many steps as there are free handler threads, and no more:
    # what one worker hoards another cannot run.
    #
    # @api private
    class Claimer
      OUTAGE_LOG_INTERVAL = 60

      # @param filters [Hash] namespaces and task_names of claim_steps
      # @param max_steps [Integer, nil] claims to take in all
      # @yieldparam claims [Array<Claim>]
      def initialize(connection:, worker_id:, concurrency:, lease_seconds:, poll_interval:, filters:, leases:,
                     bell:, log:, max_steps: nil, &deliver)
        @client = Client.new(connection)
        @worker_id = worker_id
        @concurrency = concurrency
        @lease_seconds = lease_seconds
        @poll_interval = poll_interval
        @filters = filters
        @leases = leases
        @bell = bell
        @log = log
        @remaining = max_steps
        @deliver = deliver
        @stopping = false
        @failures = 0
        @hungry = false
      end

      # Claims until told to stop or until max_steps are taken.
      def run
        until @stopping || exhausted?
          wanted = [free, @remaining].compact.min
          @hungry = wanted.positive? ? claim(wanted) : true
          @bell.wait(pause) unless @hungry && free.positive?
        end
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

      private

      def free = @concurrency - @leases.size

      # @return [Boolean] whether there may be more to claim
      def claim(wanted)
        claims = @client.claim_steps(worker_id: @worker_id, max_steps: wanted, lease_seconds: @lease_seconds,
                                     **@filters)
        recovered
        return false if claims.empty?

        @leases.add(claims, @lease_seconds)
        @remaining -= claims.size if @remaining
        @deliver.call(claims)
        claims.size == wanted
      rescue DatabaseError => e
        failed(e)
        false
      end

      # A quarter of chance keeps the polls of many workers apart.
      def pause
        return Backoff.delay(@failures - 1) if @failures.positive?

        @poll_interval * rand(0.875..1.125)
      end

      def failed(error)
        @failures += 1
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
