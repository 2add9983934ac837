# frozen_string_literal: true

require_relative "html"

module TaskerCore
  class Dashboard
    # Numbers over time as SVG; a table with the same numbers is beside it for whoever cannot see it.
    class Plot
      WIDTH = 640
      HEIGHT = 170
      LEFT = 52
      BOTTOM = 22
      TOP = 10

      # A row of numbers: bars are stacked, lines are not.
      Series = Struct.new(:key, :label, :kind, keyword_init: true)

      # @param title [String]
      # @param rows [Array<Hash>] started_at and the keys of the series; nil is a gap
      # @param series [Array<Series>]
      # @yieldparam value [Numeric]
      # @yieldreturn [String] how a value is written
      def initialize(title, rows, series, &write)
        @title = title
        @rows = rows
        @series = series
        @write = write || :to_s.to_proc
        @bars, @lines = series.partition { |one| one.kind == :bar }
      end

      # @return [Html::Markup]
      def to_html
        Html.h(:figure, Html.h(:figcaption, @title), svg, legend, numbers)
      end

      private

      def svg
        Html.h(:svg, axes, bars, lines, class: "plot", role: "img", viewBox: "0 0 #{WIDTH} #{HEIGHT}",
                                        aria_label: "#{@title}, from #{clock(@rows.first)} to #{clock(@rows.last)} UTC")
      end

      def top
        @top ||= begin
          stacked = @rows.map { |row| @bars.sum { |one| row[one.key] || 0 } }
          drawn = @lines.flat_map { |one| @rows.map { |row| row[one.key] || 0 } }
          round_up((stacked + drawn).max || 0)
        end
      end

      # 1, 2 or 5 times a power of ten.
      def round_up(value)
        return 1 if value <= 0

        power = 10.0**Math.log10(value).floor
        [1, 2, 5, 10].map { |factor| factor * power }.find { |candidate| candidate >= value }
      end

      def slot = (WIDTH - LEFT) / @rows.size.to_f
      def height_of(value) = (value / top.to_f * (HEIGHT - TOP - BOTTOM)).round(1)
      def floor = HEIGHT - BOTTOM

      def axes
        marks = [0, top / 2.0, top].map do |value|
          y = floor - height_of(value)
          [Html.h(:line, x1: LEFT, x2: WIDTH, y1: y, y2: y, class: "grid"),
           Html.h(:text, @write.call(value), x: LEFT - 6, y: y + 4, class: "tick", text_anchor: "end")]
        end
        ends = [[LEFT, "start", @rows.first], [WIDTH, "end", @rows.last]].map do |x, anchor, row|
          Html.h(:text, clock(row), x: x, y: HEIGHT - 6, class: "tick", text_anchor: anchor)
        end
        [marks, ends]
      end

      def bars
        @rows.each_with_index.map do |row, i|
          base = floor
          @bars.map do |one|
            height = height_of(row[one.key] || 0)
            next if height.zero?

            base -= height
            Html.h(:rect, x: (LEFT + (i * slot) + 0.5).round(1), y: base.round(1), width: [slot - 1, 1].max.round(1),
                          height: height, class: "bar p-#{one.key}")
          end
        end
      end

      def lines
        @lines.map do |one|
          runs = @rows.each_with_index.chunk_while { |(one_row, _), (next_row, _)| one_row[one.key] && next_row[one.key] }
          runs.map { |run| run_of(run.select { |row, _| row[one.key] }, one.key) }
        end
      end

      # What stands alone has no length, and is drawn as a dot.
      def run_of(run, key)
        points = run.map { |row, i| [(LEFT + ((i + 0.5) * slot)).round(1), (floor - height_of(row[key])).round(1)] }
        return if points.empty?
        return Html.h(:circle, cx: points[0][0], cy: points[0][1], r: 3, class: "dot p-#{key}") if points.size == 1

        Html.h(:path, d: "M#{points.map { |x, y| "#{x} #{y}" }.join("L")}", class: "curve p-#{key}")
      end

      def legend
        Html.h(:p, @series.map { |one| Html.h(:span, one.label, class: "key p-#{one.key}") }, class: "legend")
      end

      def numbers
        head = Html.h(:tr, Html.h(:th, "from (UTC)", scope: "col"), @series.map { |one| Html.h(:th, one.label, scope: "col") })
        body = @rows.select { |row| @series.any? { |one| row[one.key] && row[one.key] != 0 } }.map do |row|
          Html.h(:tr, Html.h(:td, clock(row)), @series.map { |one| Html.h(:td, row[one.key] ? @write.call(row[one.key]) : "–") })
        end
        Html.h(:details, Html.h(:summary, "as numbers"), Html.h(:table, Html.h(:thead, head), Html.h(:tbody, body)),
               id: "numbers-#{@title.downcase.gsub(/[^a-z]+/, "-")}")
      end

      def clock(row) = row.fetch(:started_at).utc.strftime("%H:%M")
    end
  end
end
