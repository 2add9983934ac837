# frozen_string_literal: true

module TaskerCore
  class Worker
    # Finds out whether what another session notifies reaches this worker's
    # listener. Behind a pooler in transaction mode LISTEN succeeds and hears
    # nothing, and a proxy may drop a silent connection unnoticed; a notification
    # sent by the listener itself would hide the first. So the connection that
    # claims sends, and the listener has to hear it.
    #
    # @api private
    class Probe
      # Seconds a notification may take.
      PATIENCE = 2.0
      # Seconds between probes.
      INTERVAL = 60.0

      # @return [String] the channel the listener has to listen to
      attr_reader :channel

      # @param connection [Connection] one that claims
      # @yield when a probe was not heard: the listener had better connect anew
      def initialize(connection:, log:, patience: PATIENCE, &missed)
        @connection = connection
        @log = log
        @patience = patience
        @missed = missed
        @channel = "tasker_probe_#{SecureRandom.hex(8)}"
        @mutex = Mutex.new
        @sent = nil
        @due = Float::INFINITY
        @healthy = false
        @warned = false
      end

      # @return [Boolean] whether notifications are known to arrive
      def healthy? = @mutex.synchronize { @healthy }

      # The listener has connected and listens; whether it hears is to be seen.
      def listening
        @mutex.synchronize do
          @sent = nil
          @due = Backoff.monotonic
        end
      end

      # Called by the listener's thread.
      def heard(payload)
        recovered = @mutex.synchronize do
          next unless payload == @sent

          @sent = nil
          @healthy = true
          @due = Backoff.monotonic + INTERVAL
          warned = @warned
          @warned = false
          warned
        end
        @log.info("notifications arrive again") if recovered
      end

      # @return [Float] seconds until {#tend} has something to do
      def wait = @mutex.synchronize { [@due - Backoff.monotonic, 0.0].max }

      # Called by the thread that claims: sends a probe that is due, judges one that is not answered.
      # @raise [DatabaseError]
      def tend
        return if wait.positive?

        missed if @mutex.synchronize { @sent }
        payload = SecureRandom.hex(4)
        @mutex.synchronize do
          @sent = payload
          @due = Backoff.monotonic + (@warned ? INTERVAL : @patience)
        end
        @connection.query("SELECT pg_catalog.pg_notify($1::text, $2::text)", [@channel, payload])
      end

      private

      def missed
        first = @mutex.synchronize do
          @healthy = false
          warned = @warned
          @warned = true
          !warned
        end
        @missed&.call
        return unless first

        @log.warn("notifications do not arrive, polling alone",
                  hint: "behind a pooler give a direct connection by --listen-url, or --no-listen")
      end
    end
  end
end
