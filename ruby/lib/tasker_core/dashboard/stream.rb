# frozen_string_literal: true

module TaskerCore
  class Dashboard
    # The body of a stream of server-sent events: looks every few seconds whether something is new. It
    # ends by itself, so that no thread is held for ever; browsers come back.
    class Stream
      INTERVAL = 2   # seconds between looks
      LIFETIME = 300 # seconds

      # So many streams at a time.
      class Seats
        def initialize(count)
          @free = count
          @mutex = Mutex.new
        end

        # @return [Proc, nil] gives the seat back, once
        def take
          @mutex.synchronize do
            return if @free.zero?

            @free -= 1
          end
          taken = true
          lambda do
            @mutex.synchronize do
              @free += 1 if taken
              taken = false
            end
          end
        end
      end

      # @param seat [Proc] called when the stream is over
      # @yieldreturn [String] what changes when something is new
      def initialize(seat, interval: INTERVAL, lifetime: LIFETIME, &look)
        @seat = seat
        @look = look
        @interval = interval
        @lifetime = lifetime
        @closed = false
      end

      def each
        ends = now + @lifetime
        yield "retry: 3000\n\n"
        seen = @look.call
        until @closed || now > ends
          sleep(@interval)
          found = @look.call
          yield found == seen ? ": nothing new\n\n" : "event: changed\ndata: #{found}\n\n"
          seen = found
        end
      rescue DatabaseError
        yield "event: lost\ndata: database\n\n"
      ensure
        close
      end

      # Called by the server when the client is gone.
      def close
        @closed = true
        @seat.call
      end

      private

      def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
