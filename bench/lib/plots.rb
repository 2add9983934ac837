# frozen_string_literal: true

require "fileutils"
require "open3"

module Bench
  # Pictures of the tables, by gnuplot.
  class Plots
    def initialize(directory)
      @directory = directory
      FileUtils.mkdir_p(directory)
    end

    # Steps per second: a group a shape, a bar a condition.
    def shapes(results)
      conditions = results.map(&:condition).uniq
      rows = results.group_by(&:shape).map do |shape, of_shape|
        [shape, *conditions.map { |condition| of_shape.find { |result| result.condition == condition }&.rate || 0 }]
      end
      columns = conditions.each_with_index.map { |name, i| "$data using #{i + 2}:xtic(1) title #{name.dump}" }
      draw("shapes.png", rows, <<~GNUPLOT)
        set style data histogram
        set style fill solid 0.8
        set ylabel 'steps per second, one connection'
        set yrange [0:*]
        set key outside below
        plot #{columns.join(", ")}
      GNUPLOT
    end

    # Steps per second and the tail of completions, by the number of workers.
    def workers(rows)
      draw("workers.png", rows.map { |row| row.values_at(0, 1, 5) }, <<~GNUPLOT)
        set logscale x 2
        set xlabel 'workers'
        set ylabel 'steps per second'
        set y2label 'p99 of a completion, ms'
        set y2tics
        set ytics nomirror
        set yrange [0:*]
        set y2range [0:*]
        set key outside below
        plot $data using 1:2 with linespoints title 'steps per second', $data using 1:3 axes x1y2 with linespoints title 'p99'
      GNUPLOT
    end

    private

    def draw(name, rows, commands)
      data = rows.map { |row| row.map { |cell| cell.is_a?(String) ? cell.dump : cell }.join(" ") }.join("\n")
      script = "$data << END\n#{data}\nEND\nset terminal pngcairo size 1000,600\nset output '#{File.join(@directory, name)}'\n#{commands}"
      message, status = Open3.capture2e("gnuplot", stdin_data: script)
      raise "gnuplot: #{message}" unless status.success?
    end
  end
end
