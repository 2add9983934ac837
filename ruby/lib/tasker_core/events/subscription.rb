# frozen_string_literal: true

module TaskerCore
  module Events
    # What {Events.subscribe} returns.
    class Subscription
      # @return [String, nil] name of a durable subscription
      attr_reader :name

      # @api private
      def initialize(pattern, callable, name: nil, &unsubscribe)
        @pattern = pattern
        @callable = callable
        @takes_connection = !callable.lambda? || callable.arity.abs > 1
        @name = name
        @unsubscribe = unsubscribe
      end

      # Ends it. The block of a durable one that is running is waited for, unless it is the caller.
      # @param timeout [Numeric] seconds
      # @return [Boolean] false when it had not ended after the timeout
      def unsubscribe(timeout = 5) = @unsubscribe.call(self, timeout)

      # @api private
      def matches?(event) = @pattern.match?(event.name)

      # @api private
      def call(event, pg) = @takes_connection ? @callable.call(event, pg) : @callable.call(event)

      # @return [String]
      def to_s = inspect

      # @return [String]
      def inspect = "#<#{self.class.name} #{@pattern}#{" as #{name}" if name}>"
    end
  end
end
