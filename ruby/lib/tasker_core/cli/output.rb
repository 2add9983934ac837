# frozen_string_literal: true

require "json"
require "time"

module TaskerCore
  module CLI
    # Where a command's answer goes: tables and lines for people, JSON for programs.
    class Output
      COLOURS = { "complete" => 32, "resolved_manually" => 32, "completed" => 32, "ok" => 32, "in_progress" => 34,
                  "claimed" => 34, "waiting_for_retry" => 33, "warning" => 33, "error" => 31, "failed" => 31,
                  "problem" => 31, "cancelled" => 90, "skipped" => 90, "pending" => 0 }.freeze
      WIDEST = 60
      # What the database holds may hold escape sequences; a terminal must not obey them.
      CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/

      # @param io [IO]
      # @param json [Boolean]
      # @param terminal [Boolean] colours, and pictures that are drawn over
      def initialize(io, json: false, terminal: io.respond_to?(:tty?) && io.tty? && !ENV.key?("NO_COLOR"))
        @io = io
        @json = json
        @terminal = terminal
      end

      def json? = @json
      def terminal? = @terminal

      # For people only.
      def say(text) = (@io.puts(printable(text)) unless json?)

      # One JSON document; nothing for people.
      def json(value) = (@io.puts(JSON.generate(plain(value))) if json?)

      # @param rows [Array<Hash>]
      # @param columns [Hash{Symbol => String}] key => heading
      # @param empty [String] what to say when there is none
      # @param widest [Integer, nil] longer values are cut; nil: none is
      def table(rows, columns, empty: "none", widest: WIDEST)
        return json(rows) if json?
        return say(empty) if rows.empty?

        cells = rows.map { |row| columns.keys.map { |key| cell(row[key], widest: widest) } }
        widths = columns.values.each_with_index.map { |head, i| [head.size, *cells.map { |row| row[i].size }].max }
        line(columns.values, widths)
        cells.each { |row| line(row, widths) }
      end

      # Name and value, a line each.
      def fields(pairs)
        width = pairs.keys.map { |key| key.to_s.size }.max
        pairs.each { |key, value| say("#{key.to_s.ljust(width)}  #{paint(cell(value, widest: nil))}") }
      end

      # @return [String] in the colour of the state it names
      def paint(text, state = text.strip)
        colour = COLOURS.fetch(state, 0)
        terminal? && colour.positive? ? "\e[#{colour}m#{text}\e[0m" : text
      end

      def flush = (@io.flush if @io.respond_to?(:flush))

      # Draws over what was drawn before, on a terminal.
      def redraw(text, lines_before)
        @io.print("\e[#{lines_before}A\e[J") if terminal? && lines_before.positive?
        @io.puts(text)
        flush
      end

      # @return [String] a value for people, on one line
      def cell(value, widest: WIDEST)
        text =
          case value
          when nil then "-"
          when Time then value.getlocal.strftime("%F %T")
          when true then "yes"
          when false then "no"
          when Array then value.join(", ")
          when Hash then JSON.generate(value)
          else value.to_s
          end
        text = text.gsub(CONTROL, "�").gsub(/\s*\n\s*/, " ")
        widest && text.size > widest ? "#{text[0, widest - 1]}…" : text
      end

      private

      def line(cells, widths)
        padded = cells.each_with_index.map { |text, i| paint(i == cells.size - 1 ? text : text.ljust(widths[i]), text) }
        @io.puts(padded.join("  ").rstrip)
      end

      # Colours may pass, nothing else that a terminal obeys.
      def printable(text) = text.to_s.gsub(/\e\[[0-9;]*m|#{CONTROL}/o) { |found| found.size > 1 ? found : "�" }

      def plain(value)
        case value
        when Hash then value.transform_values { |inner| plain(inner) }
        when Array then value.map { |inner| plain(inner) }
        when Time then value.utc.iso8601(6)
        else value
        end
      end
    end
  end
end
