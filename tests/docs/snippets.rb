# frozen_string_literal: true

# Runs what the documentation shows. Prints TAP.
#
#   ruby tests/docs/snippets.rb    with TASKER_TEST_URL naming a database for it
#
# A block of sql is fed to psql, one after the other into one database, and stops
# at the first error; a block of ruby is a program. A snippet whose answer the text
# promises is listed in PROMISES with what has to be in its output.

require "open3"
require "tempfile"

ROOT = File.expand_path("../..", __dir__)
URL = ENV.fetch("TASKER_TEST_URL") { abort "TASKER_TEST_URL names no database" }
PAGES = ["README.md", *Dir.glob("docs/*.md", base: ROOT).sort].freeze
BLOCK = /^```(sql|ruby)\n(.*?)^```$/m

# [page, number of the block on it, from 1] => what its output contains
PROMISES = {
  ["README.md", 1] => [
    /send gets \{"look_up": \{"mail": "ada@example.org"\}\}/,
    /^ +\d+ \| complete +\| +0 \| completed$/,
    /^ look_up \| complete \| +1 \| \{"mail": "ada@example.org"\}$/,
    /^ send +\| complete \| +1 \| "sent"$/,
    /^ complete \| all_complete +\| +100\.00$/
  ],
  ["docs/inspecting.md", 1] => [
    /^ waiting_for_dependencies \| waits for 2 of 2 parents: "charge" \(pending\), "reserve" \(pending\)/,
    /^ held_up_by +\| the work towards it is at "validate" \(pending, ready\)/,
    /\[ \] 1 validate: pending, ready/,
    /^ has_ready_steps$/
  ]
}.freeze

Snippet = Struct.new(:page, :number, :line, :language, :text, keyword_init: true) do
  def to_s = "#{page}:#{line} (#{language})"
end

def snippets(page)
  matches = File.read(File.join(ROOT, page)).to_enum(:scan, BLOCK).map { Regexp.last_match }
  matches.each.with_index(1).map do |match, number|
    Snippet.new(page: page, number: number, line: match.pre_match.count("\n") + 1, language: match[1], text: match[2])
  end
end

def run_sql(snippet)
  Open3.capture2e("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", URL, stdin_data: snippet.text)
end

def run_ruby(snippet)
  Tempfile.create(["snippet", ".rb"]) do |file|
    file.write(snippet.text)
    file.flush
    ruby = [RbConfig.ruby, "-W", "-I", File.join(ROOT, "ruby/lib")]
    out, status = Open3.capture2e({ "TASKER_URL" => URL }, *ruby, file.path)
    return [out, status] unless status.success? && snippet.text.include?("StepHandler")

    worker = [*ruby, File.join(ROOT, "ruby/exe/tasker"), "worker", "--url", URL, "-r", file.path, "--max-steps", "1"]
    ran, status = Open3.capture2e({ "TASKER_URL" => URL }, "timeout", "30", *worker)
    [out + ran, status]
  end
end

def missing_from(output, snippet)
  PROMISES.fetch([snippet.page, snippet.number], []).reject { |pattern| output.match?(pattern) }
end

all = PAGES.flat_map { |page| snippets(page) }
failed = all.each.with_index(1).count do |snippet, number|
  output, status = snippet.language == "sql" ? run_sql(snippet) : run_ruby(snippet)
  missing = missing_from(output, snippet)
  good = status.success? && missing.empty?
  puts "#{"not " unless good}ok #{number} - #{snippet}"
  puts output.gsub(/^/, "# "), missing.map { |pattern| "# missing: #{pattern.inspect}" } unless good
  !good
end
puts "1..#{all.size}"
exit 1 unless failed.zero? && all.any?
