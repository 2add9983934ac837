# frozen_string_literal: true

module TaskerCore
  class Worker
    # Wakes the claimer, now or in a while; a ring before the wait is not lost.
    #
    # @api private
    class Bell
      # @param horizon [Numeric] seconds; rings further ahead are left to polling
      def initialize(horizon)
        @horizon = horizon
        @mutex = Mutex.new
        @condition = ConditionVariable.new
        @due = []
      end

      # @param delay [Numeric] seconds from now
      def ring(delay = 0)
        return if delay > @horizon

        @mutex.synchronize do
          @due << Backoff.monotonic + delay
          @condition.signal
        end
      end

      # @param seconds [Numeric]
      # @return [Boolean] whether it rang
      def wait(seconds)
        deadline = Backoff.monotonic + seconds
        @mutex.synchronize do
          loop do
            now = Backoff.monotonic
            return true if @due.reject! { |time| time <= now }
            return false if now >= deadline

            @condition.wait(@mutex, [deadline, *@due].min - now)
          end
        end
      end
    end
  end
end
