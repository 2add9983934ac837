# frozen_string_literal: true

# Runs what the documentation shows. Prints TAP.
#
#   ruby tests/docs/snippets.rb    with TASKER_TEST_URL naming a database for it
#
# A block of sql is fed to psql, one after the other into one database, and stops
# at the first error; a block of ruby is a program; a block of sh stops at the first
# command that fails, and finds the gem's `tasker`. A snippet whose answer the text
# promises is listed in PROMISES with what has to be in its output. A block of console
# shows what cannot be run here, because it needs an application or does not end: each of its
# commands exists, and `tasker` knows the options; a block of rb is Ruby at least. A link leads somewhere.

require "open3"
require "shellwords"
require "tempfile"
require "tmpdir"

ROOT = File.expand_path("../..", __dir__)
URL = ENV.fetch("TASKER_TEST_URL") { abort "TASKER_TEST_URL names no database" }
PAGES = ["README.md", *Dir.glob("{docs/**/*,examples/workers/README}.md", base: ROOT).sort].freeze
BLOCK = /^```(sql|ruby|sh)\n(.*?)^```$/m
SHOWN = /^```(console|rb)\n(.*?)^```$/m
# Of others; what is ours has to be there.
FOREIGN = ["psql", "make", "sudo", "bin/rails", "export", "(cd"].freeze

# [page, number of the block on it, from 1] => what its output contains
PROMISES = {
  ["docs/security.md", 2] => [/^ completed$/, /^ pack \| complete \| "packed"$/],
  ["docs/security.md", 3] => [/^ +6$/, /^ +seen_by_south *\n-+\n +0$/, /^ +claimed_by_south *\n-+\n +0$/],
  ["docs/security.md", 4] => [/^ parcel +\|/, /^ counted *\n-+\n t$/],
  ["README.md", 1] => [
    /send gets \{"look_up": \{"mail": "ada@example.org"\}\}/,
    /^ +\d+ \| complete +\| +0 \| completed$/,
    /^ look_up \| complete \| +1 \| \{"mail": "ada@example.org"\}$/,
    /^ send +\| complete \| +1 \| "sent"$/,
    /^ complete \| all_complete +\| +100\.00$/
  ],
  ["docs/getting-started.md", 1] => [/"weigh": \{"grams": 450\}/, /^ complete$/, /\[x\] 3 ship: complete/],
  ["docs/getting-started.md", 2] => [/ada@example.org \| psql-worker/],
  ["docs/getting-started.md", 4] => [/waiting_for_dependencies/],
  ["docs/dynamic.md", 1] => [/^ price\[0\] .*"item": \{"net": 5\}/, /^ total .*"price": \[6.0, 8.4\]/],
  ["docs/dynamic.md", 2] => [/^ completed \|/, /^ +42.5 \| +2$/],
  ["docs/guides/exactly-once.md", 1] => [/^ +70$/],
  ["docs/guides/idempotency.md", 1] => [/\| t$/, /\| f$/],
  ["docs/guides/idempotency.md", 2] => [/^ t$/, /^ f$/],
  ["docs/guides/retries.md", 1] => [/4 \| +4000/, /waiting_for_retry/, /^ in_progress +\| +1$/],
  ["docs/guides/upgrades.md", 1] => [/^ t +\| 1.0.0/, /^ f +\| 1.1.0/],
  ["docs/guides/approvals.md", 1] => [/^ waiting_for_signal$/, /^ t$/, /^ pay +\| .*"by": "Ada"/],
  ["docs/guides/batches.md", 1] => [/^ count_001 .* completed$/, /"total": 3/, /\[\{"items": 400, "stock": 11/, /\{"items": 200, "stock": 600\}\]/],
  ["docs/guides/limits.md", 1] => [/^ acme \| +2 \| +4$/, /^ concurrency_limit \| 2 may run at once for key "acme"/, /^ charge +\| .*"number": 3/, /^ mail +\| .*"number": 1/],
  ["docs/guides/tenants.md", 1] => [/^ red$/, /^ red +\| one$/],
  ["docs/guides/tenants.md", 2] => [/tenant_red +worker +red/, /taken back/],
  ["docs/dashboard.md", 3] => [/^00-4bf92f3577b34da6a3ce929d0e0e4736-\h{16}-01$/],
  ["docs/faq.md", 1] => [/no_live_worker/],
  ["docs/faq.md", 2] => [/no_live_worker/],
  ["docs/operations.md", 6] => [/^ +0$/],
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

def snippets(page, blocks)
  matches = File.read(File.join(ROOT, page)).to_enum(:scan, blocks).map { Regexp.last_match }
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

# The gem's command as installed would be found: by the PATH.
BIN = Dir.mktmpdir.tap do |directory|
  File.write(File.join(directory, "tasker"), %(#!/bin/sh\nexec "#{RbConfig.ruby}" -I "#{ROOT}/ruby/lib" "#{ROOT}/ruby/exe/tasker" "$@"\n), perm: 0o755)
  at_exit { FileUtils.rm_rf(directory) }
end

def run_sh(snippet)
  env = { "PATH" => "#{BIN}:#{ENV.fetch("PATH")}", "TASKER_URL" => URL, "DATABASE_URL" => URL }
  Open3.capture2e(env, "timeout", "120", "bash", "-euo", "pipefail", stdin_data: snippet.text, chdir: ROOT)
end

# The faults of a command line that is only shown: help is asked for behind its options.
def fault_of(line, page)
  command, *arguments = line.shellsplit.drop_while { |word| word.match?(/\A[A-Z_]+=/) }
  case command
  when "tasker", "bin/tasker"
    out, status = Open3.capture2e(RbConfig.ruby, "-I", "#{ROOT}/ruby/lib", "#{ROOT}/ruby/exe/tasker", *arguments, "--help")
    out unless status.success?
  when "ruby", "python3" then "no #{arguments.first}" unless there?(arguments.first, page)
  when *FOREIGN then nil
  else "no #{command}" unless there?(command, page)
  end
end

# Seen from the top, or from where the page is.
def there?(path, page) = [ROOT, File.join(ROOT, File.dirname(page))].any? { |directory| File.exist?(File.join(directory, path)) }

def check_console(snippet)
  lines = snippet.text.lines.grep(/^\$ /).map { |line| line.delete_prefix("$ ").sub(/\s+#.*/, "").chomp }
  lines.empty? ? ["no command"] : lines.filter_map { |line| fault_of(line, snippet.page)&.then { |fault| "#{line}: #{fault}" } }
end

def check_rb(snippet)
  out, status = Open3.capture2e(RbConfig.ruby, "-c", stdin_data: snippet.text)
  status.success? ? [] : [out]
end

# Relative links that lead nowhere, and anchors that no heading makes.
def broken_links(page)
  text = File.read(File.join(ROOT, page)).gsub(/^```.*?^```$/m, "")
  text.scan(/\]\(([^)\s]+)\)/).flatten.reject { |link| link.match?(/\A[a-z]+:/) }.reject do |link|
    path, anchor = link.split("#", 2)
    file = path.empty? ? File.join(ROOT, page) : File.expand_path(path, File.join(ROOT, File.dirname(page)))
    File.exist?(file) && (anchor.nil? || File.read(file).scan(/^#+ (.+)$/).flatten.any? { |head| head.downcase.gsub(/[^\w\s-]/, "").tr(" ", "-") == anchor })
  end
end

def missing_from(output, snippet)
  PROMISES.fetch([snippet.page, snippet.number], []).reject { |pattern| output.match?(pattern) }
end

all = PAGES.flat_map { |page| snippets(page, BLOCK) }
failed = all.each.with_index(1).count do |snippet, number|
  output, status = send("run_#{snippet.language}", snippet)
  missing = missing_from(output, snippet)
  good = status.success? && missing.empty?
  puts "#{"not " unless good}ok #{number} - #{snippet}"
  puts output.gsub(/^/, "# "), missing.map { |pattern| "# missing: #{pattern.inspect}" } unless good
  !good
end
shown = PAGES.flat_map { |page| snippets(page, SHOWN) }
wrong = shown.flat_map { |snippet| send("check_#{snippet.language}", snippet).map { |fault| "#{snippet}: #{fault}" } }
puts "#{"not " if wrong.any?}ok #{all.size + 1} - #{shown.size} blocks that are only shown name what there is", wrong.join("\n").gsub(/^(?=.)/, "# ")
broken = PAGES.flat_map { |page| broken_links(page).map { |link| "#{page}: #{link}" } }
puts "#{"not " if broken.any?}ok #{all.size + 2} - every link leads somewhere", broken.map { |link| "# #{link}" }
puts "1..#{all.size + 2}"
exit 1 unless failed.zero? && all.any? && broken.empty? && wrong.empty?
