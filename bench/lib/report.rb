# frozen_string_literal: true

require "json"

module Bench
  # Tables in Markdown: printed as they grow, and, where somebody asked for it, written between the
  # markers of the documents that have them:
  #
  #   <!-- bench:NAME -->
  #   ...
  #   <!-- /bench:NAME -->
  #
  # Rows can be kept in a file as well, so that a long run goes on where it stopped.
  class Report
    ROOT = File.expand_path("../..", __dir__)
    DOCUMENTS = %w[README.md docs/performance.md].map { |path| File.join(ROOT, path) }.freeze

    # @param write [Boolean] into the documents
    # @param results [String, nil] a file that keeps rows
    # @param about [String] where the figures come from, a line under each table
    def initialize(write: false, results: nil, about: nil)
      @write = write
      @results = results
      @about = about
      @kept = results && File.exist?(results) ? File.readlines(results).map { |line| JSON.parse(line) } : []
    end

    # One table. The block is given a way to add rows: row.call(key) { cells }, whose block is not
    # run where a row of that key was kept.
    def table(name, *heads)
      lines = []
      show = lambda do |cells|
        lines << "| #{cells.join(" | ")} |"
        puts lines.last
        $stdout.flush
      end
      show.call(heads)
      show.call(["---"] * heads.size)
      yield ->(key, &cells) { rows_of(name, key.to_s, &cells).each(&show) }
      puts
      replace(name, [*lines, *("" if @about), *@about].join("\n"))
    end

    private

    # @return [Array<Array>] one row or several
    def rows_of(name, key)
      kept = @kept.select { |row| row.values_at("table", "key") == [name, key] }
      return kept.map { |row| row.fetch("cells") } if kept.any?

      cells = yield
      rows = cells.first.is_a?(Array) ? cells : [cells]
      File.open(@results, "a") { |file| rows.each { |row| file.puts(JSON.generate(table: name, key: key, cells: row)) } } if @results
      rows
    end

    def replace(name, text)
      return unless @write

      DOCUMENTS.each do |path|
        old = File.read(path)
        new = old.sub(/(<!-- bench:#{name} -->\n).*?(<!-- \/bench:#{name} -->)/m) { "#{$1}\n#{text}\n\n#{$2}" }
        File.write(path, new) unless new == old
      end
    end
  end
end
