# frozen_string_literal: true

require "io/wait"

module TaskerCore
  # One thread with one connection that listens. A notification is only a hint
  # that something is worth looking at; whoever uses this must poll beside it.
  #
  # Nobody else may touch the connection, not even to close it: stopping goes
  # through a pipe that the thread waits for together with the socket.
  class Listener
    # Seconds of silence after which the connection is tried, lest a proxy drop it unnoticed.
    KEEPALIVE = 60

    # @param conninfo [String, Hash] a direct connection: LISTEN does nothing behind a pooler
    # @param channels [Array<String>]
    # @param log [Log]
    # @yieldparam channel [String, nil] nil when notifications may have been missed
    # @yieldparam payload [String, nil]
    def initialize(conninfo, channels:, log:, &block)
      @conninfo = conninfo
      @channels = channels
      @log = log
      @block = block
      @wake, @waker = IO.pipe
      @stopping = false
      @connected = false
    end

    # @return [Boolean] whether it has a connection, as far as it knows
    def connected? = @connected

    # Lets it connect anew, because what should have arrived did not.
    def reconnect = @waker.write_nonblock("r", exception: false)

    # @return [Listener]
    def start
      @thread = Thread.new do
        Thread.current.report_on_exception = false
        Thread.current.name = "tasker listener"
        run
      end
      self
    end

    # @param timeout [Numeric] seconds to wait for the thread
    # @return [Boolean] whether it ended
    def stop(timeout = 1)
      @stopping = true
      @waker.write_nonblock(".", exception: false)
      !@thread&.join(timeout).nil?
    end

    private

    def run
      attempt = 0
      until @stopping
        begin
          listen { attempt = 0 }
        rescue StandardError => e
          break if @stopping

          wait = Backoff.delay(attempt)
          if attempt.zero?
            @log.warn("listener lost its connection", error: e.message.lines.first.to_s.chomp, retry_in: wait.round(1))
          end
          attempt += 1
          @wake.wait_readable(wait)
          @wake.read_nonblock(64, exception: false) unless @stopping
        end
      end
    end

    def listen
      pg = Connection.open(@conninfo)
      @channels.each { |channel| pg.exec("LISTEN #{pg.escape_identifier(channel)}") }
      yield
      @connected = true
      @block.call(nil, nil)
      nil until @stopping || receive(pg) == :reconnect
    ensure
      @connected = false
      pg.close if pg && !pg.finished?
    end

    # Notifications read during another command sit in the client already, and
    # the socket will not become readable for them: so drain first, then wait.
    # @return [Symbol, nil] :reconnect when somebody asked for it
    def receive(pg)
      while (notification = pg.notifies)
        @block.call(notification[:relname], notification[:extra])
      end
      readable, = IO.select([pg.socket_io, @wake], nil, nil, KEEPALIVE)
      return pg.exec("SELECT 1") && nil if readable.nil?
      return if @stopping
      return @wake.read_nonblock(64, exception: false) && :reconnect if readable.include?(@wake)

      pg.consume_input && nil
    end
  end
end
