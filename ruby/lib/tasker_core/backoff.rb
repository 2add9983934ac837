# frozen_string_literal: true

module TaskerCore
  # Waits between attempts to reach the server again. How long a *step* waits is
  # the extension's decision.
  #
  # @api private
  module Backoff
    MAX = 30.0

    module_function

    # Doubles from `base` to {MAX}; half of it is random, so that workers that
    # lost the same server do not come back together.
    # @return [Float] seconds
    def delay(attempt, base: 1.0)
      [base * (2**[attempt, 10].min), MAX].min * rand(0.5..1.0)
    end

    def monotonic = Process.clock_gettime(Process::CLOCK_MONOTONIC)

    # Repeats the block while it fails in a way that may pass.
    # @param deadline [#call] monotonic time after which the failure is raised on
    def retrying(deadline:, base: 0.2)
      attempt = 0
      begin
        yield
      rescue ConnectionError, TransientError
        wait = delay(attempt, base: base)
        raise if monotonic + wait > deadline.call

        sleep(wait)
        attempt += 1
        retry
      end
    end
  end
end
