# frozen_string_literal: true

# From one version to the next, with a database at work: the new library refuses the old
# schema and says what to do, the upgrade keeps every row and every claim, what was upgraded
# is what a new installation would be, and sessions that began before are told.
# Prints TAP.
#
#   SERVER_URL=postgresql://... INSTALL_NEXT=command ruby tests/upgrade/upgrade.rb
#
# The server is one that has 1.0 now and 1.1 after the command (tests/upgrade/next_version.rb).

require "pg"

SERVER_URL, INSTALL_NEXT = %w[SERVER_URL INSTALL_NEXT].map { |name| ENV.fetch(name) { abort "#{name} is not set" } }
CATALOG = File.read(File.expand_path("catalog.sql", __dir__))
TESTS = {}

def test(name, good, *details)
  TESTS[name] = good
  details.flatten.each { |detail| puts "# #{detail}" } unless good
end

def connect(database)
  connection = PG.connect(SERVER_URL, dbname: database)
  connection.exec("SET client_min_messages = warning")
  connection
end

def create_database(name)
  connection = connect("postgres")
  connection.exec("CREATE DATABASE #{name}")
  connection.close
  connect(name)
end

def value(db, sql, *parameters) = db.exec_params(sql, parameters).getvalue(0, 0)
def catalog(db) = db.exec("SET search_path = pg_catalog").then { db.exec(CATALOG).column_values(0) }

# [SQLSTATE, hint] of what a statement is refused with, nil when it is not.
def refusal(db, sql)
  db.exec(sql)
  nil
rescue PG::Error => e
  [e.result&.error_field(PG::PG_DIAG_SQLSTATE), e.result&.error_field(PG::PG_DIAG_MESSAGE_HINT).to_s]
end

CREATE = "SELECT task_id FROM tasker.create_task('flow', '{\"n\": 1}', 'up')"
EVERYTHING = <<~SQL
  SELECT concat_ws(' ', t.task_id, t.state, t.context, s.name, s.state, s.attempts, s.results, s.worker_id, s.visible_at, s.checkpoint)
  FROM tasker.tasks t JOIN tasker.workflow_steps s USING (task_id) ORDER BY s.workflow_step_id
SQL

old = create_database("upgrade_test")
old.exec("CREATE EXTENSION tasker_core")
test("the old version is installed", value(old, "SELECT extversion FROM pg_extension WHERE extname = 'tasker_core'") == "1.0" &&
                                     value(old, "SELECT tasker.library_version()") == "1.0")
old.exec(<<~SQL)
  SELECT tasker.register_task_template('{"name": "flow", "namespace": "up", "steps": [{"name": "a"}, {"name": "b", "depends_on": ["a"]}, {"name": "c", "depends_on": ["a"]}, {"name": "d", "depends_on": ["b", "c"]}]}')
SQL
claim = "SELECT workflow_step_id, claim_token FROM tasker.claim_steps('w', 1, lease_seconds => 3600, task_id => $1)"
complete = "SELECT c.status FROM tasker.complete_step($1, $2, '{\"done\": true}') c"
waits, held, done, failed = Array.new(4) { value(old, CREATE) }
held_claim = old.exec_params(claim, [held]).values.first
4.times { old.exec_params(complete, old.exec_params(claim, [done]).values.first) }
old.exec_params("SELECT tasker.fail_step($1, $2, '\"no\"', false)", old.exec_params(claim, [failed]).values.first)
before = old.exec(EVERYTHING).column_values(0)
cursor = value(old, "SELECT head FROM tasker.events_lag()")

test("the next version can be installed over it", system(INSTALL_NEXT, out: File::NULL))
fresh_session = connect("upgrade_test")
sqlstate, hint = refusal(fresh_session, CREATE)
test("the new library refuses the old schema", sqlstate == "TC090", "#{sqlstate}: #{hint}")
test("and says what to do", hint.to_s.include?("ALTER EXTENSION tasker_core UPDATE"), hint.to_s)
test("reading is refused as well", refusal(fresh_session, "SELECT * FROM tasker.get_task(#{done})")&.first == "TC090")
test("a session with the old library goes on", refusal(old, "SELECT * FROM tasker.heartbeat('w', ARRAY[#{held_claim[0]}], ARRAY[#{held_claim[1]}], 3600)").nil? &&
                                              value(old, "SELECT count(*) FROM tasker.verify_all(NULL)") == "0")
before = old.exec(EVERYTHING).column_values(0)

fresh_session.exec("ALTER EXTENSION tasker_core UPDATE")
test("the upgrade is to the next version", value(fresh_session, "SELECT extversion FROM pg_extension WHERE extname = 'tasker_core'") == "1.1")
sqlstate, hint = refusal(old, "SELECT count(*) FROM tasker.verify_all(NULL)")
test("a session with the old library is refused from now on", sqlstate == "TC090", "#{sqlstate}: #{hint}")
test("and told to reconnect", hint.to_s.include?("reconnect"), hint.to_s)
old.close

test("every task and step is as it was", fresh_session.exec(EVERYTHING).column_values(0) == before)
test("verify_all is empty", value(fresh_session, "SELECT count(*) FROM tasker.verify_all(NULL)") == "0")
test("a claim from before is still held", fresh_session.exec_params(complete, held_claim).values == [["completed"]])
value(fresh_session, "SELECT tasker.retry_task($1)", failed)
[waits, held, failed, value(fresh_session, CREATE)].each do |task|
  while (claimed = fresh_session.exec_params(claim, [task]).values.first)
    fresh_session.exec_params(complete, claimed)
  end
end
test("all tasks come to their end", fresh_session.exec("SELECT DISTINCT state FROM tasker.tasks").values == [["complete"]])
deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 60
written = value(fresh_session, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint").to_i
sleep(0.05) until value(fresh_session, "SELECT xmin::text::bigint FROM tasker.events_lag()").to_i >= written ||
                  Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
test("a cursor from before goes on", value(fresh_session, "SELECT count(*) FROM tasker.read_events($1, 1000) WHERE name = 'task.completed'", cursor) == "4")

new = create_database("upgrade_test_fresh")
new.exec("CREATE EXTENSION tasker_core")
expected = catalog(new)
found = catalog(fresh_session)
test("what was upgraded is what a new installation is", expected == found,
     (expected - found).map { |fact| "only fresh: #{fact}" }, (found - expected).map { |fact| "only upgraded: #{fact}" })
test("and there is something to compare", expected.size > 500, expected.size.to_s)

# the comparison sees what a script forgot: a comment, an index, privileges, a column with its members
forgetful = create_database("upgrade_test_forgetful")
forgetful.exec("CREATE EXTENSION tasker_core VERSION '1.0'")
forgetful.exec("ALTER EXTENSION tasker_core UPDATE TO '1.1.forgetful'")
missing = expected - catalog(forgetful)
test("a script that forgot something is caught", [/^column tasker\.workers\.note/, /^index CREATE INDEX workers_note_idx/, /tasker\.schema_version/,
                                                  /^column tasker\.step_attempts\.note/, /^column tasker\.step_attempts_7\.note/].all? { |forgotten| missing.grep(forgotten).any? }, missing)
[fresh_session, new, forgetful].each(&:close)

TESTS.each.with_index(1) { |(name, good), number| puts "#{"not " unless good}ok #{number} - upgrade: #{name}" }
puts "1..#{TESTS.size}"
exit 1 unless TESTS.values.all?
