#!/usr/bin/env ruby
# frozen_string_literal: true

# A task and one that runs for a step of it, when somebody else holds the rows: what cannot be done
# at once is left as an errand, nobody waits for it, and the next claim or maintenance does it.
#
#   TASKER_TEST_URL=postgresql:///test ruby tests/race/errands.rb
#
# The specs show what the operations wait for; here they give up within milliseconds, which those
# cannot look at. Prints TAP.

require "pg"

URL = ENV.fetch("TASKER_TEST_URL", nil)
if URL.nil?
  puts "1..1", "ok 1 - errands # SKIP TASKER_TEST_URL names no database"
  exit
end

# A connection, with the verbs of this test.
class Client
  def initialize
    @pg = PG.connect(URL)
    @pg.set_notice_receiver { nil }
    @pg.exec("CREATE EXTENSION IF NOT EXISTS tasker_core")
    @pg.exec("SET statement_timeout = '60s'")
  end

  def exec(sql, *values) = @pg.exec_params(sql, values)
  def value(sql, *values) = exec(sql, *values).then { |rows| rows.ntuples.zero? ? nil : rows.getvalue(0, 0) }
  def claim(task) = exec("SELECT workflow_step_id, claim_token FROM tasker.claim_steps('errands', 1, task_id => $1, lease_seconds => 600)", task).first&.values
  def complete(claim) = value("SELECT task_state FROM tasker.complete_step($1, $2, '1')", *claim)
  def fail(claim) = value("SELECT task_state FROM tasker.fail_step($1, $2, '1', false)", *claim)
  def states(task) = value("SELECT string_agg(name || ' ' || state, ', ' ORDER BY step_no) FROM tasker.workflow_steps WHERE task_id = $1", task)
  def child(task, step) = value("SELECT max(task_id) FROM tasker.tasks WHERE parent_step_id = $1", (task.to_i * 1_000_000) + step)
  def state(task) = value("SELECT state FROM tasker.tasks WHERE task_id = $1", task)
  def errands(task) = value("SELECT coalesce(string_agg(kind || ' ' || step_no, ', ' ORDER BY errand_id), 'none') FROM tasker.errands WHERE task_id = $1", task)
  def violations(task) = exec("SELECT violation FROM tasker.verify_task($1)", task).column_values(0)
end

ONE = Client.new
TWO = Client.new
NAMESPACE = "errands #{Process.clock_gettime(Process::CLOCK_REALTIME, :millisecond)}"
{ "child" => '{"name": "a"}',
  "parent" => '{"name": "x", "workflow": {"name": "child"}}, {"name": "y", "workflow": {"name": "child"}}, {"name": "join", "depends_on": ["x", "y"]}',
  "chain" => '{"name": "first"}, {"name": "run", "depends_on": ["first"], "workflow": {"name": "child"}}' }.each do |name, steps|
  ONE.exec("SELECT FROM tasker.register_task_template(jsonb_build_object('name', $1::text, 'namespace', $2::text, 'steps', $3::jsonb))", name, NAMESPACE, "[#{steps}]")
end

RESULTS = []
def check(name, found, wanted)
  RESULTS << (found == wanted)
  puts "#{"not " unless found == wanted}ok #{RESULTS.size} - #{name}"
  puts "#   found #{found.inspect}, wanted #{wanted.inspect}" unless found == wanted
end

def refusal
  yield
rescue PG::Error => e
  e.result.error_field(PG::PG_DIAG_SQLSTATE)
end

def create(name) = ONE.value("SELECT task_id FROM tasker.create_task($1, namespace => $2)", name, NAMESPACE)

# Two children end at once under one join: y, in its own transaction, while that of x is open.
def two_ends(title, end_of_y, bring, wanted)
  task = create("parent")
  x, y = [1, 2].map { |step| ONE.claim(ONE.child(task, step)) }
  ONE.exec("BEGIN")
  ONE.complete(x)
  check("#{title}: the second ends without waiting", TWO.public_send(end_of_y, y), end_of_y == :complete ? "complete" : "error")
  check("#{title}: its result is left as an errand", TWO.errands(task), "result 2")
  check("#{title}: which verify_task knows of", TWO.violations(task), [])
  ONE.exec("COMMIT")
  bring.call(task)
  check("#{title}: and is brought", TWO.states(task), wanted)
  check("#{title}: nothing is left", [TWO.errands(task), TWO.violations(task)], ["none", []])
end

CLAIM = ->(task) { TWO.claim(task) }
MAINTAIN = ->(_) { TWO.exec("SELECT tasker.run_maintenance()") }
two_ends("the next claim", :complete, CLAIM, "x complete, y complete, join in_progress")
two_ends("maintenance", :complete, MAINTAIN, "x complete, y complete, join pending")
two_ends("a failure", :fail, MAINTAIN, "x complete, y error, join pending")

# A parent is cancelled while somebody has a step of its child in hand.
task = create("parent")
x = ONE.claim(ONE.child(task, 1))
ONE.exec("BEGIN")
ONE.exec("SELECT FROM tasker.heartbeat('errands', array[$1::bigint], array[$2::bigint], 600)", *x)
check("cancel: it does not wait for the child", TWO.value("SELECT tasker.cancel_task($1, 'off')", task), "t")
check("cancel: one child is cancelled, the other to be", [TWO.state(TWO.child(task, 1)), TWO.state(TWO.child(task, 2)), TWO.errands(task)], ["in_progress", "cancelled", "cancel 1"])
ONE.exec("COMMIT")
MAINTAIN.call(task)
check("cancel: then it is", [TWO.state(TWO.child(task, 1)), TWO.errands(task)], %w[cancelled none])
check("cancel: its worker is fenced", refusal { ONE.complete(x) }, "TC011")

# A step is reset while the end of its child is not committed, or somebody has that in hand.
{ "ends" => :complete, "is held" => :heartbeat }.each do |what, verb|
  task = create("parent")
  old = ONE.child(task, 1)
  x = ONE.claim(old)
  ONE.exec("BEGIN")
  if verb == :complete
    # the end is ready, but for the row of the step: so it is in the errands when the step is reset
    TWO.exec("BEGIN")
    TWO.exec("SELECT FROM tasker.step_queue WHERE task_id = $1 FOR UPDATE", task)
    ONE.complete(x)
    TWO.exec("SELECT FROM tasker.reset_step($1)", (task.to_i * 1_000_000) + 1)
    ONE.exec("COMMIT")
    TWO.exec("COMMIT")
  else
    ONE.exec("SELECT FROM tasker.heartbeat('errands', array[$1::bigint], array[$2::bigint], 600)", *x)
    TWO.exec("SELECT FROM tasker.reset_step($1)", (task.to_i * 1_000_000) + 1)
    ONE.exec("COMMIT")
  end
  check("reset while its child #{what}: another runs for it", [ONE.child(task, 1) == old, ONE.state(ONE.child(task, 1)), ONE.states(task)],
        [false, "pending", "x in_progress, y in_progress, join pending"])
  MAINTAIN.call(task)
  check("reset while its child #{what}: that of before changes nothing", [ONE.state(old), ONE.states(task), ONE.errands(task), ONE.violations(task)],
        [verb == :complete ? "complete" : "cancelled", "x in_progress, y in_progress, join pending", "none", []])
end

# A rollback takes everything back, the task that it would have started and its errands included.
task = create("chain")
first = ONE.claim(task)
ONE.exec("BEGIN")
ONE.complete(first)
check("rollback: a task runs for the step", ONE.state(ONE.child(task, 2)), "pending")
ONE.exec("ROLLBACK")
check("rollback: there is none", [TWO.child(task, 2), TWO.states(task), TWO.errands(task)], [nil, "first in_progress, run pending", "none"])
ONE.complete(first)

# A step is retried while somebody has its failed child in hand; what that does meanwhile counts.
child = ONE.child(task, 2)
ONE.fail(ONE.claim(child))
check("retry: the step failed with its task", [TWO.states(task), TWO.state(child)], ["first complete, run error", "error"])
ONE.exec("BEGIN")
ONE.exec("SELECT FROM tasker.tasks WHERE task_id = $1 FOR UPDATE", child)
check("retry: it does not wait for the child", [TWO.value("SELECT tasker.retry_task($1)", task), TWO.errands(task)], ["1", "retry 2"])
check("retry: which verify_task knows of", TWO.violations(task), [])
ONE.exec("COMMIT")
MAINTAIN.call(task)
check("retry: then that goes on", [TWO.states(task), TWO.state(child), TWO.errands(task)], ["first complete, run in_progress", "in_progress", "none"])
ONE.complete(ONE.claim(child))
check("retry: and ends", [TWO.states(task), TWO.state(task)], ["first complete, run complete", "complete"])

# A task that was scheduled begins with its child, though somebody has it in hand just then.
task = ONE.value("SELECT task_id FROM tasker.create_task('parent', namespace => $1, run_at => clock_timestamp() + interval '1 hour')", NAMESPACE)
check("start: it is pending until its time", [TWO.state(task), TWO.state(TWO.child(task, 1))], %w[pending pending])
TWO.exec("SET tasker_core.clock_offset = 4000")
ONE.exec("BEGIN")
ONE.exec("SELECT tasker.pause_task($1)", task)
x = TWO.claim(TWO.child(task, 1))
check("start: the claim does not wait for it", [TWO.state(TWO.child(task, 1)), TWO.state(task), TWO.errands(task)], ["in_progress", "pending", "start 1"])
check("start: which verify_task knows of", TWO.violations(task), [])
ONE.exec("COMMIT")
MAINTAIN.call(task)
check("start: then it has begun", [TWO.state(task), TWO.errands(task), TWO.violations(task)], ["in_progress", "none", []])
ONE.exec("SELECT tasker.resume_task($1)", task)
y = TWO.claim(TWO.child(task, 2))
check("start: the other child adds nothing", [TWO.state(task), TWO.errands(task)], %w[in_progress none])
[x, y].each { |claim| TWO.complete(claim) }
check("start: and it ends", [TWO.complete(TWO.claim(task)), TWO.violations(task)], ["complete", []])

puts "1..#{RESULTS.size}"
exit 1 unless RESULTS.all?
