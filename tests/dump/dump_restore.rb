# frozen_string_literal: true

# A database at work is dumped and restored on another server, whose transaction ids are
# others: the work goes on there to its end, and a reader of events goes on from its cursor.
# Prints TAP.
#
#   SOURCE_URL=postgresql:///source TARGET_URL=postgresql://other/target ruby tests/dump/dump_restore.rb
#
# Both name existing, empty databases; pg_dump and pg_restore are found by PATH.

require "pg"
require "tempfile"
require "open3"

SOURCE_URL, TARGET_URL = %w[SOURCE_URL TARGET_URL].map { |name| ENV.fetch(name) { abort "#{name} names no database" } }

STATES = %w[pending in_progress complete error cancelled resolved_manually].freeze
STEP_STATES = %w[pending in_progress waiting_for_retry complete error cancelled skipped resolved_manually].freeze

# What a worker and an operator do, in a few words.
class Database
  attr_accessor :first_cursor

  def initialize(url)
    @connection = PG.connect(url)
    @connection.exec("SET client_min_messages = warning")
  end

  def exec(sql, *values) = @connection.exec_params(sql, values)
  def value(sql, *values) = exec(sql, *values).getvalue(0, 0)
  def column(sql, *values) = exec(sql, *values).column_values(0)
  def create(name, more = "") = value("SELECT task_id FROM tasker.create_task('#{name}', '{\"n\": 1}', 'dump'#{more})").to_i
  def claim(task, lease = 3600) = exec("SELECT workflow_step_id, claim_token FROM tasker.claim_steps('w', 1, lease_seconds => $2, task_id => $1)", task, lease).first&.values
  def complete(claim) = exec("SELECT tasker.complete_step($1, $2, '{\"ok\": true}')", *claim)
  def fail(claim, retryable) = exec("SELECT tasker.fail_step($1, $2, '\"no\"', $3, 0)", *claim, retryable)
  def close = @connection.close

  # Runs everything that can be run, expired leases too.
  def work_to_the_end
    exec("SET tasker_core.clock_offset = 7200")
    loop do
      claims = exec("SELECT workflow_step_id, claim_token FROM tasker.claim_steps('finisher', 100)").values
      break if claims.empty?
      claims.each { |claim| complete(claim) }
    end
    exec("RESET tasker_core.clock_offset")
  end

  # [cursor, what is told] of all events after a cursor that can be read.
  def events(after)
    exec("SELECT cursor, name || ' ' || coalesce(workflow_step_id, task_id, 0) FROM tasker.read_events($1, 10000)", after).values
  end

  # What a reader that comes too late is told.
  def dropped(after)
    events(after) && nil
  rescue PG::Error => e
    [e.result.error_field(PG::PG_DIAG_SQLSTATE), e.result.error_field(PG::PG_DIAG_MESSAGE_DETAIL)]
  end

  # Maintenance until the slot is free again, which nobody's snapshot delays for long.
  def turn_the_ring(slot)
    deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 60
    exec("SET tasker_core.clock_offset = '6d'")
    until exec("SELECT FROM tasker.history_slots WHERE slot = $1", slot).ntuples.zero? || Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
      exec("SELECT tasker.run_maintenance()")
      sleep(0.01)
    end
    exec("RESET tasker_core.clock_offset")
  end

  def settle
    target = value("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint").to_i
    sleep(0.01) until value("SELECT xmin::text::bigint FROM tasker.events_lag()").to_i >= target
  end
end

def busy(db)
  db.exec("SELECT tasker.register_task_template($1)", <<~DIAMOND)
    {"name": "diamond", "namespace": "dump", "steps": [{"name": "a", "retry": {"max_attempts": 2, "backoff": "none"}}, {"name": "b", "depends_on": ["a"]},
      {"name": "c", "depends_on": ["a"]}, {"name": "d", "depends_on": ["b", "c"]}]}
  DIAMOND
  drop_something(db)
  db.create("diamond")                                             # nothing claimed
  db.create("diamond", ", run_at => now() + interval '1 hour'")    # not yet to be run
  db.create("diamond", ", idempotency_key => 'once'")
  db.claim(db.create("diamond"))                                   # in a worker's hands
  db.claim(db.create("diamond"), 0.1)                              # the worker is gone
  db.create("diamond").then { |t| db.fail(db.claim(t), true) }     # waits for a retry
  db.create("diamond").then { |t| db.complete(db.claim(t)); db.complete(db.claim(t)) } # the join waits
  db.create("diamond").then { |t| 4.times { db.complete(db.claim(t)) } }
  db.create("diamond").then { |t| db.fail(db.claim(t), false) }
  db.create("diamond").then { |t| db.claim(t); db.exec("SELECT tasker.cancel_task($1)", t) }
  db.create("diamond").then { |t| db.exec("SELECT tasker.transition_task($1, 'resolved_manually')", t) }
  db.create("diamond").then { |t| db.complete(db.claim(t)); db.exec("SELECT tasker.pause_task($1)", t) }
  db.create("diamond").then { |t| db.exec("SELECT tasker.resolve_step($1, '1')", (t * 1_000_000) + 1); db.exec("SELECT tasker.skip_step($1)", (t * 1_000_000) + 2) }
  db.create("diamond").then { |t| db.exec("SELECT tasker.checkpoint_step($1, $2, '{\"row\": 7}')", *db.claim(t)) }
  db.exec(%q(SELECT tasker.register_task_template('{"name": "held", "namespace": "dump", "steps": [{"name": "a"}]}')))
  db.create("held")
  db.exec("SELECT tasker.pause_template('held', 'dump', 'before the move')")
  db.exec(%q(SELECT tasker.register_task_template('{"name": "outer", "namespace": "dump", "steps": [{"name": "inner", "workflow": {"name": "diamond"}}, {"name": "after", "depends_on": ["inner"]}]}')))
  db.create("outer") # another task runs for its step
  run_a_map(db)
  db.exec("SELECT tasker.publish_event('dump.begins')")
end

# Two of three instances run or have ended, the last one waits for its turn.
def run_a_map(db)
  db.exec("SELECT tasker.register_task_template($1)", <<~MAP)
    {"name": "each", "namespace": "dump", "steps": [{"name": "m", "map": {"over": "context.n", "parallelism": 1}}, {"name": "end", "depends_on": ["m"]}]}
  MAP
  task = db.value("SELECT task_id FROM tasker.create_task('each', '{\"n\": [1, 2, 3]}', 'dump')").to_i
  db.complete(db.claim(task))
  db.claim(task)
end

# The ring of history has been turned, and a task that ended in its first slot was dropped.
def drop_something(db)
  db.create("diamond").then { |t| 4.times { db.complete(db.claim(t)) } }
  db.exec("SELECT tasker.configure('retention_days', '6')")
  db.settle
  db.first_cursor = db.events(nil).first[0]
  ["0", "6d"].each do |offset|
    db.exec("SELECT set_config('tasker_core.clock_offset', $1, false), tasker.run_maintenance()", offset)
  end
  db.exec("RESET tasker_core.clock_offset")
end

# Works on while the dump is taken, until told to stop.
def keep_busy(stop)
  db = Database.new(SOURCE_URL)
  until stop.call
    task = db.create("diamond")
    4.times { db.complete(db.claim(task)) }
  end
  db.close
end

def dump_and_restore(file)
  stopped = false
  worker = Thread.new { keep_busy(-> { stopped }) }
  sleep(0.2)
  _, dump_said, dumped = Open3.capture3("pg_dump", "-Fc", "-f", file, "-d", SOURCE_URL)
  sleep(0.1)
  stopped = true
  worker.join
  _, restore_said, restored = Open3.capture3("pg_restore", "--single-transaction", "-d", TARGET_URL, file)
  [dumped.success? && dump_said.empty?, restored.success? && restore_said.empty?, dump_said + restore_said]
end

EVERYTHING = <<~SQL.freeze
  SELECT t.task_id || ' ' || t.state || ' ' || coalesce(string_agg(concat_ws(' ', s.step_no, s.state, s.attempts, s.visible_at, s.worker_id, s.results, s.checkpoint), ', ' ORDER BY s.step_no), '')
  FROM tasker.tasks t JOIN tasker.workflow_steps s USING (task_id) WHERE t.task_id = ANY ($1::bigint[]) GROUP BY t.task_id, t.state ORDER BY t.task_id
SQL

tests = {}
source = Database.new(SOURCE_URL)
source.exec("CREATE EXTENSION tasker_core")
busy(source)
source.settle
source_ids = "{#{source.column("SELECT task_id FROM tasker.tasks").join(",")}}"
tests["tasks are in every state"] = (STATES - source.column("SELECT DISTINCT state FROM tasker.tasks")).empty?
tests["steps are in every state"] = (STEP_STATES - source.column("SELECT DISTINCT state FROM tasker.workflow_steps")).empty?
all_before = source.events(nil)
half = all_before[all_before.size / 2][0]
cursor = all_before.last[0]
head = source.value("SELECT head FROM tasker.events_lag()")

said = nil
Tempfile.create("tasker_dump") do |file|
  tests["pg_dump says nothing, while work goes on"], tests["pg_restore --single-transaction says nothing"], said = dump_and_restore(file.path)
end
said.each_line { |line| puts "# #{line}" }

target = Database.new(TARGET_URL)
tests["the server's transaction ids are others"] = target.value("SELECT pg_current_xact_id()::text::bigint").to_i < source.value("SELECT pg_current_xact_id()::text::bigint").to_i
tests["every task and step is as it was"] = target.column(EVERYTHING, source_ids) == source.column(EVERYTHING, source_ids)
tests["verify_all is empty after the restore"] = target.exec("SELECT * FROM tasker.verify_all(NULL)").ntuples.zero?

told = source.dropped(source.first_cursor)
tests["a cursor from before what was dropped is refused, here and there"] = told&.first == "TC024" && target.dropped(source.first_cursor) == told
slots = "SELECT slot, began_at, ended_at, next_task_id, emptied_xact FROM tasker.history_slots ORDER BY slot"
tests["the ring of history is as it was"] = target.exec(slots).values == source.exec(slots).values && target.exec(slots).ntuples == 3
tests["so are the settings"] = target.value("SELECT value FROM tasker.settings WHERE name = 'retention_days'") == "6"

restored = target.events(nil)
tests["the events from before are there, in their order"] = restored.first(all_before.size) == all_before
since = restored.drop(all_before.size)
tests["a reader goes on from its cursor, its half-way one, or the head of that time"] =
  target.events(cursor) == since && target.events(head) == since && target.events(half) == restored.drop((all_before.size / 2) + 1)
tests["what was written while the dump was taken is among them"] = since.any? { |_, told| told.start_with?("task.completed") }

# a read-only transaction cannot begin the new epoch, and needs not
target.exec("BEGIN READ ONLY")
tests["reading needs no write"] = target.events(cursor) == since && target.value("SELECT head FROM tasker.events_lag()").start_with?("2.")
target.exec("COMMIT")
last = restored.last[0]

known = target.column("SELECT task_id FROM tasker.tasks").map(&:to_i)
tests["a task's key still names it"] = target.exec("SELECT created FROM tasker.create_task('diamond', '{}', 'dump', idempotency_key => 'once')").getvalue(0, 0) == "f"
fresh = Array.new(20) { target.create("diamond") }
moves = target.value("SELECT max(move_id) FROM tasker.step_moves").to_i
tests["new tasks have new ids"] = (fresh & known).empty? && fresh.min > known.max
published = target.value("SELECT max(event_id) FROM tasker.domain_events").to_i
tests["new events have new ids"] = target.value("SELECT tasker.publish_event('dump.ended')").to_i > published
target.exec("SELECT tasker.cancel_task($1)", fresh.first)
target.claim(fresh.last)
target.exec("SELECT tasker.reset_step($1)", (fresh.last * 1_000_000) + 1)
tests["new moves have new ids"] = target.value("SELECT max(move_id) FROM tasker.step_moves").to_i > moves

held = target.create("held")
tests["what was paused is paused, until it is resumed"] = target.claim(held).nil? &&
  target.value("SELECT tasker.pause_template('held', 'dump')") == "f" && target.value("SELECT tasker.resume_template('held', 'dump')") == "t" && !target.claim(held).nil?
tests["new pauses have new ids"] = target.value("SELECT tasker.pause_template('held', 'dump')") == "t" && target.value("SELECT tasker.resume_template('held', 'dump')") == "t"
fresh << held

target.turn_the_ring(0)
tests["the ring goes on, and what has not ended stays"] =
  target.exec("SELECT FROM tasker.history_slots WHERE slot = 0").ntuples.zero? && target.value("SELECT count(*) FROM tasker.step_attempts_0") == "0" &&
  target.exec("SELECT * FROM tasker.verify_all(NULL)").ntuples.zero? && target.column("SELECT task_id FROM tasker.tasks").size == known.size + fresh.size
target.exec("SELECT tasker.resume_task(task_id) FROM tasker.tasks WHERE paused_at IS NOT NULL ORDER BY task_id")
target.exec("SELECT tasker.retry_task(task_id) FROM tasker.tasks WHERE state = 'error' ORDER BY task_id")
target.work_to_the_end
tests["all work comes to its end"] = target.column("SELECT DISTINCT state FROM tasker.tasks").sort == %w[cancelled complete resolved_manually]
tests["verify_all is empty at the end"] = target.exec("SELECT * FROM tasker.verify_all(NULL)").ntuples.zero?
target.settle
rest = target.events(last)
ended = rest.count { |_, told| told.start_with?("task.completed") }
tests["the reader misses none of the new events, and none comes again"] =
  (rest & restored).empty? && rest.all? { |at, _| at.start_with?("2.") } && restored + rest == target.events(nil) &&
  rest.count { |_, told| told.start_with?("task.created") } == fresh.size &&
  ended == target.value("SELECT count(*) FROM tasker.tasks WHERE state = 'complete'").to_i - restored.count { |_, told| told.start_with?("task.completed") }
tests["the new epoch is on record"] = target.column("SELECT epoch FROM tasker.event_epochs ORDER BY epoch") == %w[1 2]

tests.each.with_index(1) { |(name, good), number| puts "#{"not " unless good}ok #{number} - dump and restore: #{name}" }
puts "1..#{tests.size}"
exit 1 unless tests.values.all?
