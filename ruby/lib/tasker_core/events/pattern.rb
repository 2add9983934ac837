# frozen_string_literal: true

module TaskerCore
  module Events
    # A list of patterns, with the meaning that read_events gives to one.
    #
    # @api private
    class Pattern
      # @param patterns [Array<String>] none: everything
      def initialize(patterns)
        patterns = ["*"] if patterns.empty?
        @patterns = patterns.map(&:to_s)
        raise ArgumentError, "an empty pattern matches nothing" if @patterns.any?(&:empty?)

        @expression = Regexp.union(@patterns.map { |pattern| expression(pattern) })
        @known = {}
      end

      # @return [Array<String>] those without *
      def exact = @patterns.reject { |pattern| pattern.include?("*") }

      def match?(name) = @known.fetch(name) { @known[name] = @expression.match?(name) }

      # @return [String] one pattern for the server that leaves nothing out
      def for_server = @patterns.size == 1 ? @patterns.first : "*"

      def to_s = @patterns.join(", ")

      private

      def expression(pattern) = /\A#{pattern.split("*", -1).map { |part| Regexp.escape(part) }.join(".*")}\z/m
    end
  end
end
