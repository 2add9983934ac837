# frozen_string_literal: true

require "json"

module TaskerCore
  class Dashboard
    # Markup as values: whatever is not markup already is escaped, so nothing can be forgotten.
    module Html
      # Text that is markup.
      class Markup < String; end

      ESCAPES = { "&" => "&amp;", "<" => "&lt;", ">" => "&gt;", '"' => "&quot;", "'" => "&#39;" }.freeze
      VOID = %i[meta link input br path rect line circle].freeze

      module_function

      # @return [Markup]
      def escape(value)
        return value if value.is_a?(Markup)

        text = value.to_s.encode(Encoding::UTF_8, invalid: :replace, undef: :replace).scrub("�")
        Markup.new(text.gsub(/[&<>"']/, ESCAPES).gsub(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/, "�"))
      end

      # @param children [Array] strings are escaped, markup is not, nil is nothing
      # @param attributes [Hash] nil and false leave one out, true is one without a value
      # @return [Markup]
      def h(name, *children, **attributes)
        opening = attributes.map { |key, value| attribute(key, value) }.join
        return Markup.new("<#{name}#{opening} />") if VOID.include?(name) && children.empty?

        Markup.new("<#{name}#{opening}>#{join(children)}</#{name}>")
      end

      # @return [Markup]
      def join(children) = Markup.new(children.flatten.compact.map { |child| escape(child) }.join)

      # @return [Markup] a value as indented JSON
      def json(value) = h(:pre, h(:code, value.is_a?(String) ? value : JSON.pretty_generate(value)), tabindex: "0")

      # @return [Markup, String]
      def time(value)
        return "–" unless value

        value = Time.iso8601(value) if value.is_a?(String)
        h(:time, value.utc.strftime("%F %T"), datetime: value.utc.iso8601(3), title: "#{value.utc.iso8601(6)} (UTC)")
      end

      # @return [String] seconds for people
      def duration(seconds)
        return "–" unless seconds
        return "#{(seconds * 1000).round} ms" if seconds < 1
        return format("%.1f s", seconds) if seconds < 60
        return "#{(seconds / 60).floor} min #{(seconds % 60).round} s" if seconds < 3600

        format("%.1f h", seconds / 3600.0)
      end

      def attribute(key, value)
        return "" if value.nil? || value == false

        name = key.to_s.tr("_", "-")
        value == true ? " #{name}" : " #{name}=\"#{escape(value)}\""
      end
      private_class_method :attribute
    end
  end
end
