#!/usr/bin/env ruby
# frozen_string_literal: true

# Sixty-four claimers in eight processes, some of which are killed, work on steps with limits. Never
# do more run at once under one key than its limit says, never do more start in a period, and in the
# end all of them have run. Prints TAP.
#
#   TASKER_TEST_URL=postgresql:///database ruby tests/race/limits.rb
#
# The evidence is the workers' own: when a claim had come back, and when its work was done, before
# anybody was told. What a killed worker had in hand ran until it was killed.

require "json"
require "pg"
require "tmpdir"

URL = ENV.fetch("TASKER_TEST_URL", nil)
if URL.nil?
  puts "1..1", "ok 1 - limits # SKIP TASKER_TEST_URL names no database"
  exit
end

NAMESPACE = "limits #{Process.clock_gettime(Process::CLOCK_REALTIME, :millisecond)}"
PROCESSES = 8
CLAIMERS = 8                # in each
KEYS = 20
TASKS_OF_A_KEY = 12
LIMIT = 3
RATE = 5
PERIOD = 1.0
LEASE = 3.0
DEADLINE = 150

def now = Process.clock_gettime(Process::CLOCK_REALTIME)

# Works until all is done, and notes what it does in a file of its own.
class Claimer
  def initialize(number, log)
    @id = "#{NAMESPACE} #{number}"
    @log = log
    @random = Random.new(number)
    @connection = PG.connect(URL)
  end

  def run
    loop do
      claims = claim
      claims.each { |claim| work(claim) }
      next unless claims.empty?
      return if done?

      sleep(0.01 + (@random.rand * 0.03))
    end
  end

  private

  def claim
    @connection.exec_params(<<~SQL, [@id, @random.rand(1..3), "{\"#{NAMESPACE}\"}", LEASE]).to_a
      SELECT workflow_step_id, claim_token, task_name, step_name, task_context ->> 'key' AS key,
             extract(epoch FROM lease_expires_at)::float8 AS lease FROM tasker.claim_steps($1, $2, $3, $4)
    SQL
      .map { |row| row.merge("from" => now) }.each { |row| note("from", row) }
  end

  def work(claim)
    sleep(0.002 + (@random.rand * 0.01))
    note("to", claim.merge("to" => now))
    arguments = claim.values_at("workflow_step_id", "claim_token")
    if @random.rand < 0.1
      @connection.exec_params("SELECT FROM tasker.fail_step($1, $2, '{}')", arguments)
    elsif @random.rand < 0.1
      @connection.exec_params("SELECT FROM tasker.release_steps(array[$1::bigint], array[$2::bigint])", arguments)
    else
      @connection.exec_params("SELECT FROM tasker.complete_step($1, $2, 'true')", arguments)
    end
  rescue PG::Error => error
    raise unless error.result&.error_field(PG::Result::PG_DIAG_SQLSTATE) == "TC011" # its lease ran out
  end

  def done?
    @connection.exec_params(<<~SQL, [NAMESPACE]).getvalue(0, 0) == "0"
      SELECT count(*) FROM tasker.stats WHERE namespace = $1 AND ready + in_progress + later + throttled > 0
    SQL
  end

  def note(kind, claim) = @log.syswrite("#{JSON.generate(claim.merge("kind" => kind))}\n")
end

def start(number, folder)
  log = File.join(folder, number.to_s)
  pid = fork do
    file = File.open(log, File::WRONLY | File::CREAT | File::APPEND)
    Array.new(CLAIMERS) { |n| Thread.new { Claimer.new((number * CLAIMERS) + n, file).run } }.each(&:join)
    exit!(0)
  end
  { pid:, log: }
end

# From when to when each claim of a limited step was worked on, by template and key.
def intervals(processes)
  processes.flat_map do |process|
    notes = File.readlines(process[:log]).filter_map { |line| JSON.parse(line) if line.end_with?("\n") }
    ends = notes.select { |note| note["kind"] == "to" }.to_h { |note| [note["claim_token"], note["to"]] }
    notes.select { |note| note["kind"] == "from" && note["step_name"] == "a" }.map do |note|
      to = [ends[note["claim_token"]] || process[:killed_at] || Float::INFINITY, note["lease"].to_f].min
      { of: note.values_at("task_name", "key"), from: note["from"], to: }
    end
  end.group_by { |interval| interval[:of] }
end

def most_at_once(intervals)
  running = 0
  intervals.flat_map { |i| i[:to] > i[:from] ? [[i[:from], 1], [i[:to], -1]] : [] }.sort.map { |_, step| running += step }.max || 0
end

admin = PG.connect(URL)
[["keyed", { concurrency: { key: "context.key", limit: LIMIT } }],
 ["paced", { concurrency: { key: "context.key", limit: LIMIT }, rate_limit: { key: "context.key", limit: RATE, period_seconds: PERIOD } }]].each do |name, limits|
  again = { retry: { max_attempts: 50, backoff: "none" } }
  steps = [{ name: "a", **again, **limits }, { name: "b", depends_on: ["a"], **again }]
  admin.exec_params("SELECT FROM tasker.register_task_template($1)", [JSON.generate(namespace: NAMESPACE, name:, steps:)])
end
admin.exec_params(<<~SQL, [NAMESPACE, KEYS, TASKS_OF_A_KEY])
  SELECT count(*) FROM generate_series(1, $3) i, generate_series(1, $2) k,
    tasker.create_task('keyed', jsonb_build_object('key', k, 'i', i), $1)
SQL
admin.exec_params(<<~SQL, [NAMESPACE, RATE * 4])
  SELECT count(*) FROM generate_series(1, $2) i, generate_series(1, 2) k, tasker.create_task('paced', jsonb_build_object('key', k, 'i', i), $1)
SQL

results = Dir.mktmpdir do |folder|
  processes = Array.new(PROCESSES) { |number| start(number, folder) }
  3.times do |n|
    # once it has something in hand
    sleep(0.02) until File.exist?(processes[n][:log]) && File.size(processes[n][:log]) > 1000
    processes[n][:killed_at] = now
    Process.kill(:KILL, processes[n][:pid])
    processes << start(PROCESSES + n, folder)
  end
  deadline = now + DEADLINE
  left = processes.map { |process| process[:pid] }
  until left.empty? || now > deadline
    left.reject! { |pid| Process.wait(pid, Process::WNOHANG) }
    sleep(0.05)
  end
  left.each { |pid| Process.kill(:KILL, pid) && Process.wait(pid) }
  intervals(processes)
end

busiest = results.transform_values { |intervals| most_at_once(intervals) }
paces = admin.exec_params(<<~SQL, [NAMESPACE, RATE]).values.flatten.compact.map(&:to_f)
  SELECT extract(epoch FROM a.claimed_at - lag(a.claimed_at, $2) OVER (PARTITION BY t.context ->> 'key' ORDER BY a.claimed_at))::float8
  FROM tasker.tasks t JOIN tasker.named_tasks n USING (named_task_id) JOIN tasker.task_namespaces s USING (namespace_id)
  JOIN (SELECT task_id, step_no, claimed_at FROM tasker.step_attempts
        UNION ALL SELECT task_id, step_no, claimed_at FROM tasker.step_moves WHERE claimed_at IS NOT NULL) a USING (task_id)
  WHERE s.name = $1 AND n.name = 'paced' AND a.step_no = 1
SQL
unfinished = admin.exec_params(<<~SQL, [NAMESPACE]).getvalue(0, 0)
  SELECT count(*) FROM tasker.tasks t JOIN tasker.named_tasks n USING (named_task_id)
  JOIN tasker.task_namespaces s USING (namespace_id) WHERE s.name = $1 AND t.state <> 'complete'
SQL
keys = admin.exec_params("SELECT coalesce(sum(running), 0), coalesce(sum(waiting), 0) FROM tasker.flow_limits WHERE namespace = $1", [NAMESPACE]).values.first
violations = admin.exec("SELECT violation FROM tasker.verify_all()").values.flatten
claims = results.values.sum(&:size)

tests = {
  "#{claims} claims by #{PROCESSES * CLAIMERS} claimers under #{results.size} keys" =>
    claims >= (KEYS * TASKS_OF_A_KEY) + (RATE * 8) && results.size == KEYS + 2,
  "never more than #{LIMIT} ran at once under one key (#{busiest.values.tally})" => busiest.values.all? { |n| n <= LIMIT },
  "but more than one" => busiest.values.max > 1,
  "never more than #{RATE} started in #{PERIOD} s under one key (#{paces.size} looked at, the closest #{paces.min&.round(3)} s)" =>
    paces.size >= RATE * 4 && paces.min >= PERIOD,
  "all of them have run, whoever was killed" => unfinished == "0",
  "no key is held in the end, and nobody waits" => keys == %w[0 0],
  "verify_all finds nothing" => violations.empty?
}
puts "# #{violations.first(5)}" unless violations.empty?
tests.each.with_index(1) { |(name, good), number| puts "#{"not " unless good}ok #{number} - limits: #{name}" }
puts "1..#{tests.size}"
exit 1 unless tests.values.all?
