# frozen_string_literal: true

require "io/wait"

module TaskerCore
  class Worker
    # A pipe to the main thread. Writing a byte is all that is safe inside a
    # signal trap, and a pipe can be waited for with a timeout.
    #
    # @api private
    class Mailbox
      def initialize
        @reader, @writer = IO.pipe
      end

      # @param byte [String]
      def post(byte)
        @writer.write_nonblock(byte, exception: false)
      end

      # @param seconds [Numeric, nil] nil waits for ever
      # @return [Array<String>] the bytes posted since the last call
      def take(seconds)
        return [] unless @reader.wait_readable(seconds && [seconds, 0].max)

        bytes = @reader.read_nonblock(1024, exception: false)
        bytes.is_a?(String) ? bytes.chars : []
      end
    end
  end
end
