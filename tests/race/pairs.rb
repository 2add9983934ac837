#!/usr/bin/env ruby
# frozen_string_literal: true

# Every pair of operations on one step of one task, in both orders: the first stays in an open
# transaction until the second has come to its end or waits for it. Then what both were told, and
# everything that is stored, has to be as if they had come one after the other, whichever of them;
# where the first rolls back, as if it had never been. Claims do not wait, so they may also find
# nothing.
#
#   TASKER_TEST_URL=postgresql:///test ruby tests/race/pairs.rb [FIRST SECOND]
#
# The specs look at single moments by name; this looks at all of them. Prints TAP, a line for each
# situation and first operation.

require "pg"

NAMESPACE = "pairs"
TEMPLATE = '{"namespace": "pairs", "name": "diamond", "steps": [{"name": "a", "retry": {"max_attempts": 5, "backoff": "none"}}, ' \
           '{"name": "b", "depends_on": ["a"]}, {"name": "c", "depends_on": ["a"]}, {"name": "d", "depends_on": ["b", "c"]}]}'

# What each operation says: $t the task, $s its first step, $k the token of the claim that was given
# out on it. Ids are shown relative to the task, and neither tokens nor times.
OPERATIONS = {
  "claim" => "SELECT workflow_step_id - $t * 1000000::bigint, attempt FROM tasker.claim_steps('second', 10, task_id => $t)",
  "complete" => "SELECT status, task_state, steps_ready FROM tasker.complete_step($s, $k, '1')",
  "complete_steps" => "SELECT status, task_state FROM tasker.complete_steps(array[$s], array[$k], '{1}')",
  "complete_and_claim" => "SELECT completed_step_id - $t * 1000000::bigint, status, workflow_step_id - $t * 1000000::bigint, attempt " \
                          "FROM tasker.complete_and_claim(array[$s], array[$k], '{1}', 'second', 10, task_id => $t) ORDER BY 1, 3",
  "fail" => "SELECT step_state, task_state FROM tasker.fail_step($s, $k, '1')",
  "fail_for_good" => "SELECT step_state, task_state FROM tasker.fail_step($s, $k, '1', false)",
  "heartbeat" => "SELECT workflow_step_id - $t * 1000000::bigint FROM tasker.heartbeat('first', array[$s], array[$k])",
  "release" => "SELECT tasker.release_steps(array[$s], array[$k])",
  "checkpoint" => "SELECT tasker.checkpoint_step($s, $k, '7', true)",
  "cancel" => "SELECT tasker.cancel_task($t)",
  "pause" => "SELECT tasker.pause_task($t)",
  "resume" => "SELECT tasker.resume_task($t)",
  "retry_task" => "SELECT tasker.retry_task($t)",
  "reset" => "SELECT task_state, steps_ready FROM tasker.reset_step($s)",
  "resolve" => "SELECT task_state, steps_ready FROM tasker.resolve_step($s, '7')",
  "skip" => "SELECT task_state, steps_ready FROM tasker.skip_step($s)"
}.freeze

# How the task stands when the two come. In "expired" the lease of the claim has run out, so that a
# claim takes the step over: that is the pair of every operation with an expiring lease.
SITUATIONS = {
  "held" => [:claim],
  "expired" => %i[claim late],
  "failed" => %i[claim fail],
  "ready" => []
}.freeze
PREPARATIONS = { fail: "SELECT FROM tasker.fail_step($s, $k, '1', false)" }.freeze

STORED = <<~SQL
  SELECT 'task', state, 'paused ' || (paused_at IS NOT NULL), failed_steps, NULL, NULL FROM tasker.tasks WHERE task_id = $t
  UNION ALL SELECT 'step', name, state, attempts, worker_id, checkpoint::text FROM tasker.workflow_steps WHERE task_id = $t
  UNION ALL SELECT 'attempt', step_no::text, results::text, attempt_no, outcome, to_state FROM tasker.step_attempts WHERE task_id = $t
  UNION ALL SELECT 'move', step_no::text, NULL, count(*), verb, from_state || '>' || to_state FROM tasker.step_moves WHERE task_id = $t GROUP BY 2, 5, 6
  UNION ALL SELECT 'transition', NULL, NULL, count(*), from_state, to_state FROM tasker.task_transitions WHERE task_id = $t GROUP BY 5, 6
  UNION ALL SELECT 'violation', violation, NULL, NULL, NULL, NULL FROM tasker.verify_task($t)
  ORDER BY 1, 2, 4, 5, 6
SQL

# A task in a situation, and what was done to it.
class Meeting
  def initialize(connections, situation)
    @first, @second, @observer = connections
    preparations = SITUATIONS.fetch(situation)
    connections.each { |pg| pg.exec("SET tasker_core.clock_offset = #{preparations.include?(:late) ? 600 : 0}") }
    prepare(preparations)
  end

  # @return [Array] what they were told, and everything stored
  def one_after_the_other(*operations)
    told = operations.map { |operation| tell(@second, operation) }
    [told, stored]
  end

  def at_once(first, second, ending)
    @first.exec("BEGIN")
    told = [tell(@first, first)]
    @second.send_query(sql(second))
    wait_for_second
    @first.exec(ending)
    told << answer { @second.get_last_result }
    [told, stored]
  end

  private

  def prepare(preparations)
    @observer.exec("SET tasker_core.clock_offset = 0") if preparations.include?(:late)
    @task = @observer.exec("SELECT task_id FROM tasker.create_task('diamond', namespace => '#{NAMESPACE}')").getvalue(0, 0)
    @token = 1
    preparations.each do |preparation|
      case preparation
      when :claim then @token = @observer.exec("SELECT claim_token FROM tasker.claim_steps('first', 1, task_id => #{@task})").getvalue(0, 0)
      when :late then @observer.exec("SET tasker_core.clock_offset = 600")
      else @observer.exec(replace(PREPARATIONS.fetch(preparation)))
      end
    end
  end

  def sql(operation) = replace(OPERATIONS.fetch(operation))
  def replace(text) = text.gsub("$t", @task).gsub("$s", "#{@task}000001").gsub("$k", @token.to_s)
  def tell(connection, operation) = answer { connection.exec(sql(operation)) }

  def answer
    yield.values
  rescue PG::Error => error
    error.result.error_field(PG::Result::PG_DIAG_SQLSTATE)
  end

  def stored = @observer.exec(replace(STORED)).values

  # Until it is done, or waits for the first.
  def wait_for_second
    deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 60
    loop do
      @second.consume_input
      return unless @second.is_busy
      return if @observer.exec_params("SELECT cardinality(pg_blocking_pids($1))", [@second.backend_pid]).getvalue(0, 0) != "0"
      raise "it neither ends nor waits" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
    end
  end
end

# All meetings in one situation, by connections of their own.
class Pairs
  def initialize(url)
    @connections = Array.new(3) { PG.connect(url).tap { |pg| pg.set_notice_receiver { nil }; pg.exec("SET statement_timeout = '90s'") } }
    @connections.last.exec_params("SELECT FROM tasker.register_task_template($1)", [TEMPLATE])
    @serial = {}
    @meetings = 0
  end

  attr_reader :meetings

  # @return [Array<String>] what was wrong
  def findings(situation, first, second)
    [committed(situation, first, second), (rolled_back(first, second) if situation == "held")].compact
  end

  private

  def committed(situation, first, second)
    got = at_once(situation, first, second, "COMMIT")
    in_turn, reversed = serial(situation, first, second), serial(situation, second, first)
    reversed = [reversed.first.reverse, reversed.last]
    return if [in_turn, reversed].include?(got)

    return if found_nothing?(second, got.first.last) && got.last == serial(situation, first, *but_its_claim(second)).last

    "#{first}, then #{second}: #{difference(got, in_turn)}"
  end

  def rolled_back(first, second)
    got = at_once("held", first, second, "ROLLBACK")
    got.first.shift
    alone = serial("held", second)
    return if got == alone || (found_nothing?(second, got.first.last) && got.last == serial("held", *but_its_claim(second)).last)

    "#{first} rolled back, then #{second}: #{difference(got, alone)}"
  end

  # The claims of complete_and_claim are its rows with a third column.
  def found_nothing?(operation, told)
    operation == "claim" ? told == [] : operation == "complete_and_claim" && told.is_a?(Array) && told.none? { |row| row[2] }
  end

  def but_its_claim(operation) = operation == "claim" ? [] : ["complete_steps"]

  def at_once(situation, *pair)
    @meetings += 1
    Meeting.new(@connections, situation).at_once(*pair)
  end

  def serial(situation, *operations)
    @serial[[situation, operations]] ||= Meeting.new(@connections, situation).one_after_the_other(*operations)
  end

  def difference(got, expected)
    "told #{got.first}, one after the other #{expected.first}; " \
      "stored #{(got.last - expected.last).first(4)} instead of #{(expected.last - got.last).first(4)}"
  end
end

url = ENV.fetch("TASKER_TEST_URL", nil)
if url.nil?
  puts "1..1", "ok 1 - pairs # SKIP TASKER_TEST_URL names no database"
  exit
end

wanted = OPERATIONS.keys.product(OPERATIONS.keys).select { |pair| ARGV.empty? || ARGV == pair }.group_by(&:first)
meetings = 0
lines = SITUATIONS.keys.map do |situation|
  Thread.new do
    pairs = Pairs.new(url)
    found = wanted.map { |first, pair| ["#{situation}: #{first} and every other", pair.flat_map { |_, second| pairs.findings(situation, first, second) }] }
    meetings += pairs.meetings
    found
  end
end.flat_map(&:value)

lines.each.with_index(1) do |(name, findings), number|
  puts "#{"not " unless findings.empty?}ok #{number} - #{name}"
  findings.each { |finding| puts "#   #{finding}" }
end
puts "# #{meetings} meetings", "1..#{lines.size}"
exit(lines.all? { |_, findings| findings.empty? })
