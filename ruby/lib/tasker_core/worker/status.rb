# frozen_string_literal: true

module TaskerCore
  class Worker
    # What the worker says about itself: to probes, to scrapers, and into the
    # log when asked for its threads. Asks no server.
    #
    # @api private
    class Status
      # A call that lasts this many leases is one that will never end.
      HANGING_LEASES = 3

      def initialize(claimer:, heartbeat:, leases:, metrics:, concurrency:, lease_seconds:, hears:, stopping:)
        @claimer = claimer
        @heartbeat = heartbeat
        @leases = leases
        @metrics = metrics
        @concurrency = concurrency
        @lease_seconds = lease_seconds
        @hears = hears
        @stopping = stopping
        @started = Time.now.to_f
      end

      # @return [Array(Integer, String, String), nil] status, content type and body of a page
      def page(path)
        case path
        when "/livez" then verdict(hanging)
        when "/readyz" then verdict([*hanging, *not_ready])
        when "/metrics" then [200, Metrics::CONTENT_TYPE, @metrics.render(gauges)]
        end
      end

      # @return [Array<Hash>] name and backtrace of every thread of the process
      def threads
        Thread.list.map do |thread|
          { thread: thread.name || thread.inspect, status: thread.status.inspect,
            at: (thread.backtrace || []).join(" < ") }
        end
      end

      private

      def verdict(faults)
        return [200, "text/plain; charset=utf-8", "ok\n"] if faults.empty?

        [503, "text/plain; charset=utf-8", faults.map { |fault| "#{fault}\n" }.join]
      end

      # Restarting helps against a call that never ends, and against nothing else.
      def hanging
        return [] if @stopping.call || @claimer.exhausted?

        silent = Backoff.monotonic - @claimer.came_round_at
        limit = [HANGING_LEASES * @lease_seconds, 2 * @claimer.interval].max + Backoff::MAX
        silent > limit ? ["no claim for #{silent.round} s"] : []
      end

      def not_ready
        [("stopping" if @stopping.call),
         ("claiming fails" if @claimer.failing?),
         ("heartbeats fail" if @heartbeat.failing?)].compact
      end

      def gauges
        {
          "info" => ["Constant 1; the labels tell which gem.", 1, { version: VERSION, ruby: RUBY_VERSION }],
          "threads" => ["Handler threads.", @concurrency],
          "threads_busy" => ["Handler threads that have a step.", @leases.size],
          "ready" => ["Whether claims and heartbeats work and it is not stopping.", not_ready.empty? ? 1 : 0],
          "hears_notifications" => ["Whether notifications are known to arrive.", @hears.call ? 1 : 0],
          "start_time_seconds" => ["When it started, in seconds since 1970.", @started.round(3)]
        }
      end
    end
  end
end
