# frozen_string_literal: true

# The background worker: timers on time, notices coalesced, and alive after everything that
# happens to a server. Prints TAP.
#
#   TASKER_TEST_SOCKET=directory ruby tests/background/worker.rb
#
# The server there is the test's own: its settings are changed, its processes killed. It has
# tasker_core in shared_preload_libraries and TEST in tasker_core.databases.

require_relative "harness"
require_relative "../../ruby/lib/tasker_core/cli"

TEST = "background_test"
TESTS = Tests.new

# A reload reaches a process when it next looks.
def configured(db, name, value)
  eventually { db.value("SHOW tasker_core.#{name}") == value }
end

def alive(db) = eventually { db.worker }
def successor(db, pid) = eventually { db.worker.then { |worker| worker && worker["pid"] != pid } }
def gone(db) = eventually { db.value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'tasker_core worker' AND datname = current_database()") == "0" }

def templates(db)
  db.exec("SELECT tasker.register_task_template($1)", <<~JSON)
    {"name": "work", "namespace": "bg", "steps": [{"name": "s", "retry": {"max_attempts": 3, "backoff": "none", "jitter": 0}}]}
  JSON
  db.exec("SELECT tasker.register_task_template($1)", <<~JSON)
    {"name": "once", "namespace": "bg", "steps": [{"name": "s", "retry": {"max_attempts": 1}}]}
  JSON
  db.exec("SELECT tasker.register_task_template($1)", <<~JSON)
    {"name": "delayed", "namespace": "bg", "steps": [{"name": "a"}, {"name": "b", "depends_on": ["a"], "delay_seconds": 0.3}]}
  JSON
  db.exec("SELECT tasker.register_task_template($1)", <<~JSON)
    {"name": "waits", "namespace": "bg", "steps": [{"name": "w", "wait_for_signal": {"name": "go", "timeout_seconds": 0.3, "on_timeout": "complete"}},
      {"name": "s", "depends_on": ["w"]}]}
  JSON
  db.exec("SELECT tasker.register_task_template($1)", <<~JSON)
    {"name": "paced", "namespace": "bg", "steps": [{"name": "s", "rate_limit": {"limit": 1, "period_seconds": 1}}]}
  JSON
  db.exec("SELECT tasker.register_task_template($1)", <<~JSON)
    {"name": "narrow", "namespace": "bg", "steps": [{"name": "s", "concurrency": {"limit": 1}}]}
  JSON
end

def ready?(channel, payload) = channel == "tasker_ready" && payload == "bg"

# A worker that was just asked for is there, and sends for this session.
def sends(db, listener)
  eventually do
    db.create("work", namespace: "'bg'")
    worker = db.worker
    heard = listener.heard(5) { |channel, payload| ready?(channel, payload) }
    worker && heard && heard.last[2] == worker["pid"].to_i
  end
end

# Nobody sends for this session.
def by_itself(db, listener)
  eventually do
    db.create("work", namespace: "'bg'")
    listener.heard(5) { |channel, payload| ready?(channel, payload) }&.last&.last == db.pid
  end
end

# What a limit keeps back: in time, and as soon as there is room.
def limits(db, listener, how)
  db.exec("SELECT tasker.cancel_task(task_id) FROM tasker.tasks WHERE state IN ('pending', 'in_progress')")
  2.times { db.create("paced", namespace: "'bg'") }
  db.exec("SELECT FROM tasker.claim_steps('w', 2, '{bg}')")
  due = db.value("SELECT next_at FROM tasker.flow_limits WHERE task_name = 'paced'")
  came = eventually do
    listener.heard { |channel, payload| ready?(channel, payload) } && db.value("SELECT clock_timestamp() >= $1", due) == "t"
  end
  TESTS.ok("#{how}: workers are told when the next step may start under a rate limit", due && came)

  held, = Array.new(2) { db.create("narrow", namespace: "'bg'") }.map { |task| db.claim(task) }
  listener.heard(1) { false }
  db.exec("SELECT FROM tasker.complete_step($1, $2, '1')", *held)
  TESTS.ok("#{how}: and when the end of one makes room for another", listener.heard { |channel, payload| ready?(channel, payload) })
end

def timers(db, listener, how)
  waits = {
    "a schedule" => -> { db.create("work", namespace: "'bg'", run_at: "clock_timestamp() + interval '300 ms'") },
    "a retry" => -> { db.exec("SELECT tasker.fail_step($1, $2, '1', true, 0.3)", *db.claim(db.create("work", namespace: "'bg'"))) },
    "a claim given back with a delay" => -> { db.exec("SELECT tasker.release_steps(ARRAY[$1::bigint], ARRAY[$2::bigint], 0.3)", *db.claim(db.create("work", namespace: "'bg'"))) },
    "a lease that runs out" => -> { db.claim(db.create("work", namespace: "'bg'"), 0.3) },
    "a step's delay" => -> { db.exec("SELECT tasker.complete_step($1, $2, '1')", *db.claim(db.create("delayed", namespace: "'bg'"))) },
    "a wait that nobody ends" => -> { db.create("waits", namespace: "'bg'") },
    "a resumed task" => lambda do
      task = db.value("SELECT t.task_id FROM tasker.create_task('work', namespace => 'bg', run_at => clock_timestamp() + interval '300 ms') t WHERE tasker.pause_task(t.task_id)")
      db.exec("SELECT tasker.resume_task($1)", task)
    end
  }
  waits.each do |name, wait|
    db.exec("SELECT tasker.cancel_task(task_id) FROM tasker.tasks WHERE state IN ('pending', 'in_progress')")
    wait.call
    due = db.value("SELECT visible_at FROM tasker.step_queue")
    came = eventually do
      listener.heard { |channel, payload| ready?(channel, payload) } && db.value("SELECT clock_timestamp() >= $1", due) == "t"
    end
    TESTS.ok("#{how}: workers are told of #{name} when its time has come", due && came)
  end
  limits(db, listener, how)
  task = db.create("once", namespace: "'bg'")
  db.claim(task, 0.3)
  TESTS.ok("#{how}: a lost last attempt fails for good, though nobody claims", eventually { db.state(task) == "error" })
end

db = connect(TEST)
db.exec("CREATE EXTENSION tasker_core")
templates(db)
listener = connect(TEST)
listener.listen
configure(maintenance_interval: "1s", notify_interval: "10ms")
TESTS.ok("a worker comes to a database in which the extension was created just now", alive(db))
TESTS.ok("and sends what others have to tell", sends(db, listener))

TESTS.part("timers") do
  configure(maintenance_interval: "1h") # so that no round does what a timer should
  configured(db, "maintenance_interval", "1h")
  timers(db, listener, "as the owner")
end

TESTS.part("coalescing") do
  configure(notify_interval: "1s")
  configured(db, "notify_interval", "1s")
  sends(db, listener)
  threads = Array.new(4) do
    Thread.new do
      session = connect(TEST)
      Array.new(75) { session.create("work", namespace: "'bg'") }.tap { session.close }
    end
  end
  tasks = threads.flat_map(&:value)
  created = []
  heard = listener.heard do |channel, payload|
    created << JSON.parse(payload)["task_id"] if channel == "tasker_events" && payload.include?("task.created")
    (tasks - created).empty?
  end
  ready = heard.to_a.count { |channel, payload, _| ready?(channel, payload) }
  puts "# 300 commits in 4 sessions: #{ready} notifying transactions"
  TESTS.ok("300 commits are told in a few transactions", ready.between?(1, 100), "there were #{ready}")
  TESTS.is("every event is told, once", created.tally.slice(*tasks), tasks.to_h { |task| [task, 1] })
  TESTS.is("by the worker alone", heard.to_a.map(&:last).uniq, [alive(db)["pid"].to_i])
  configure(notify_interval: "10ms")
end

TESTS.part("more than there is room for") do
  40.times { |i| db.exec("SELECT tasker.register_task_template($1)", %({"name": "w", "namespace": "many#{i}", "steps": [{"name": "s"}]})) }
  db.transaction { 40.times { |i| db.create("w", namespace: "'many#{i}'") } }
  names = []
  listener.heard { |channel, payload| (names << payload if channel == "tasker_ready") && names.grep(/^many/).uniq.size == 40 }
  TESTS.is("more namespaces than slots: each is told", names.grep(/^many/).uniq.size, 40)
  first = db.value("SELECT min(task_id) FROM (SELECT (tasker.create_task('work', namespace => 'bg')).task_id FROM generate_series(1, 2000)) t").to_i
  created = []
  listener.heard { |_, payload| (created << JSON.parse(payload)["task_id"] if payload.include?("task.created")) && created.count { |task| task >= first } == 2000 }
  TESTS.is("more events than there is room: each is told, once", created.select { |task| task >= first }.tally.values.tally, { 1 => 2000 })
end

TESTS.part("nothing for nothing") do
  db.exec("SELECT tasker.cancel_task(task_id) FROM tasker.tasks WHERE state IN ('pending', 'in_progress')")
  db.exec("SELECT tasker.publish_event('test.begin')")
  listener.heard { |_, payload| payload.include?("test.begin") }
  db.exec("BEGIN")
  db.create("work", namespace: "'bg'")
  db.exec("ROLLBACK")
  db.transaction do
    db.exec("SAVEPOINT a")
    db.create("work", namespace: "'bg'")
    db.exec("SAVEPOINT b")
    db.exec("SELECT tasker.publish_event('test.dropped')")
    db.exec("RELEASE b")
    db.exec("ROLLBACK TO a")
    db.exec("SAVEPOINT c")
    db.exec("SELECT tasker.publish_event('test.kept')")
    db.exec("RELEASE c")
  end
  db.transaction do
    db.exec("SET LOCAL tasker_core.notify = off")
    db.create("work", namespace: "'bg'")
  end
  db.transaction do
    db.exec("SET LOCAL tasker_core.notify = ready")
    db.exec("SELECT tasker.publish_event('test.silent')")
  end
  db.exec("SELECT tasker.publish_event('test.end')")
  heard = listener.heard { |_, payload| payload.include?("test.end") }
  TESTS.is("what is rolled back or below the level is not told", heard&.map { |_, payload, _| payload[/test\.\w+/] || payload }, %w[test.kept test.end])
end

TESTS.part("two-phase commit") do
  TESTS.is("a transaction that has something to tell cannot be prepared", db.sqlstate do
    db.exec("BEGIN")
    db.create("work", namespace: "'bg'")
    db.exec("PREPARE TRANSACTION 'background'")
  end, "0A000")
  db.exec("ROLLBACK")
  db.exec("BEGIN")
  db.exec("SET LOCAL tasker_core.notify = off")
  task = db.create("work", namespace: "'bg'")
  db.exec("PREPARE TRANSACTION 'background'")
  db.exec("COMMIT PREPARED 'background'")
  TESTS.is("with tasker_core.notify = off it can", db.state(task), "pending")
end

TESTS.part("schedules") do
  db.exec("SELECT tasker.create_schedule('minutely', 'work', '* * * * *', namespace => 'bg', catch_up => 'all')")
  # as if it were due in a second; the worker hears of that with the next step that it looks after
  due = db.value("UPDATE tasker.schedules SET next_due_at = clock_timestamp() + interval '1 s' RETURNING next_due_at")
  db.create("work", namespace: "'bg'", run_at: "clock_timestamp() + interval '100 ms'")
  TESTS.ok("a schedule makes its task when it is due", eventually { db.value("SELECT last_task_id FROM tasker.list_schedules('bg')") })
  TESTS.is("not before", db.value("SELECT t.created_at >= $1 FROM tasker.tasks t JOIN tasker.list_schedules('bg') ON t.task_id = last_task_id", due), "t")
  db.exec("SELECT tasker.drop_schedule('minutely', 'bg')")
end

TESTS.part("an error") do
  pid = alive(db)["pid"]
  configure(maintenance_interval: "100ms")
  db.exec("ALTER TABLE tasker.maintenance RENAME TO mislaid")
  TESTS.ok("while the worker cannot work, sessions notify by themselves", by_itself(db, listener))
  db.exec("ALTER TABLE tasker.mislaid RENAME TO maintenance")
  TESTS.ok("when it can again, it sends", sends(db, listener))
  TESTS.is("and is still the same process", alive(db)["pid"], pid)
end

TESTS.part("a role of its own") do
  db.exec("CREATE ROLE background_role LOGIN")
  configure(worker_role: "background_role", maintenance_interval: "1s")
  TESTS.ok("runs as the role that the setting names", eventually { db.worker&.fetch("usename") == "background_role" })
  sends(db, listener)
  configure(maintenance_interval: "1h")
  configured(db, "maintenance_interval", "1h")
  timers(db, listener, "as a role without rights")
  db.exec("CREATE ROLE background_silent NOLOGIN")
  configure(worker_role: "background_silent", maintenance_interval: "1s")
  TESTS.ok("a role without LOGIN runs nothing", gone(db))
  configure(worker_role: "")
  TESTS.ok("without the setting it runs as the owner again", eventually { db.worker&.fetch("usename") == "postgres" })
end

# What `tasker doctor` has to say about the background worker: level, detail and remedy in one.
def doctor
  connection = TaskerCore::Connection.new({ host: SOCKET, port: 5432, user: "postgres", dbname: TEST })
  findings = TaskerCore::CLI::Doctor.new(TaskerCore::Operator.new(TaskerCore::Client.new(connection))).findings
  findings.find { |finding| finding.fetch(:check) == :background }.values_at(:level, :detail, :remedy).compact.join(": ")
ensure
  connection&.close
end

TESTS.part("the list of databases") do
  TESTS.ok("tasker doctor sees the worker", eventually { doctor.start_with?("ok: background worker is running; maintenance ran last at") })
  configure(databases: "")
  TESTS.ok("a database that is taken from the list loses its worker", gone(db))
  db.exec("UPDATE tasker.maintenance SET ran_at = now() - interval '1 hour'")
  said = doctor
  TESTS.ok("tasker doctor says so, and what to do",
           said.match?(/\Awarning: no background worker, and maintenance ran last at .*: the library is preloaded: add #{TEST} to tasker_core.databases/), said)
  TESTS.ok("and its sessions notify by themselves", by_itself(db, listener))
  configure(databases: "nowhere, #{TEST}")
  TESTS.ok("put back, it has one again, whatever else is named", alive(db) && sends(db, listener))
  TESTS.is("a malformed list is refused", db.sqlstate { db.exec("ALTER SYSTEM SET tasker_core.databases = 'a,,b'") }, "22023")
end

TESTS.part("ended by hand") do
  pid = alive(db)["pid"]
  db.exec("SELECT pg_terminate_backend($1)", pid)
  TESTS.ok("a worker that was terminated has a successor", successor(db, pid))
end

def launcher(db) = db.value("SELECT max(pid) FROM pg_stat_activity WHERE backend_type = 'tasker_core launcher'")
def workers(db, database) = db.value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'tasker_core worker' AND datname = $1", database)

TESTS.part("a launcher that is ended by hand") do
  configure(databases: "#{TEST}, background_dropped")
  admin { |connection| connection.exec("CREATE DATABASE background_dropped") }
  other = connect("background_dropped")
  other.exec("CREATE EXTENSION tasker_core")
  others_pid = alive(other)["pid"]
  pid = alive(db)["pid"]
  old = launcher(db)
  db.exec("SELECT pg_terminate_backend($1)", old)
  TESTS.ok("it has a successor, and so have its workers",
           eventually { launcher(db).then { |launcher| launcher && launcher != old } } && successor(db, pid) && successor(other, others_pid))
  other.close
  TESTS.ok("who send", sends(db, listener))
  TESTS.is("one in each database", [workers(db, TEST), workers(db, "background_dropped")], %w[1 1])
  TESTS.is("and make way for DROP DATABASE", admin { |connection| connection.sqlstate { connection.exec("DROP DATABASE background_dropped") } }, nil)
  configure(databases: TEST)
end

TESTS.part("DROP EXTENSION") do
  db.exec("DROP EXTENSION tasker_core")
  TESTS.ok("the worker leaves with the extension", gone(db))
  db.exec("CREATE EXTENSION tasker_core")
  templates(db)
  TESTS.ok("and comes back with it", alive(db) && sends(db, listener))
end

def server(command) = system(*Shellwords.split(ENV.fetch("TASKER_TEST_PG_CTL")), *command, %i[out err] => File::NULL)

# Both connections anew, after a restart.
def reconnect = [connect(TEST), connect(TEST).tap(&:listen)]

TESTS.part("killed") do
  pid = alive(db)["pid"]
  task = db.create("work", namespace: "'bg'", run_at: "clock_timestamp() + interval '1 hour'")
  Process.kill(:KILL, pid.to_i)
  TESTS.ok("a killed worker takes the server down", eventually { db.sqlstate { db.exec("SELECT 1") } })
  db, listener = reconnect
  TESTS.ok("which recovers, and has another one", successor(db, pid))
  TESTS.ok("that sends", sends(db, listener))
  TESTS.is("and nothing is lost", db.state(task), "pending")
end

TESTS.part("restart") do
  db, listener = reconnect
  pid = alive(db)["pid"]
  TESTS.ok("the server stops, and waits for no worker", server(%w[-m fast -w restart]))
  db, listener = reconnect
  TESTS.ok("and starts with another one", successor(db, pid) && sends(db, listener))
end

def claim_marked(db) = db.exec("SELECT task_id FROM tasker.claim_steps('w', 1, '{marks}')").first&.fetch("task_id")&.to_i

def blocks_of_claim(db)
  plan = JSON.parse(db.value("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT FROM tasker.claim_steps('w', 1, '{marks}')")).first.fetch("Plan")
  plan.values_at("Shared Hit Blocks", "Shared Read Blocks").sum
end

def create_marked(db, number)
  db.exec("SELECT count(*) FROM tasker.create_tasks((SELECT jsonb_agg('{\"name\": \"one\", \"namespace\": \"marks\"}'::jsonb) FROM generate_series(1, $1::int)))", number)
end

# One that tells nobody: listeners that do not listen just now would hold everything up.
def silent = connect(TEST).tap { |db| db.exec("SET tasker_core.notify = off") }

# A session that knows the lanes and the template, and has walked over nothing.
def newcomer
  silent.tap { |db| db.exec("SELECT FROM tasker.complete_step($1, $2, '1')", *db.claim(db.create("one", namespace: "'marks'"))) }
end

TESTS.part("marks of claims") do
  db = silent
  db.exec("SELECT tasker.register_task_template('{\"name\": \"one\", \"namespace\": \"marks\", \"steps\": [{\"name\": \"s\"}]}')")
  newcomer.close
  old = connect(TEST)
  old.exec("BEGIN ISOLATION LEVEL REPEATABLE READ")
  old.exec("SELECT count(*) FROM tasker.tasks")
  create_marked(db, 3000)
  db.exec("SELECT FROM tasker.claim_steps('w', 3000, '{marks}') c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1')")
  late = silent
  late.exec("BEGIN")
  task = late.create("one", namespace: "'marks'")
  create_marked(db, 300)
  spared = eventually do
    other = newcomer
    walked = blocks_of_claim(db)
    blocks = blocks_of_claim(other)
    other.close
    blocks if walked > 2 * blocks
  end
  TESTS.ok("what one session has walked over, a new one does not", spared)

  claim_marked(db)
  late.exec("COMMIT")
  other = newcomer
  TESTS.ok("a row in front of the mark that is committed late is found", eventually { claim_marked(other) == task })

  first = silent
  first.exec("SELECT FROM tasker.claim_steps('w', 3000, '{marks}')")
  task = db.create("one", namespace: "'marks'")
  first.exec("BEGIN")
  first.exec("SELECT FROM tasker.claim_steps('w', 1, '{marks}') c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1')")
  create_marked(db, 300)
  eventually { blocks_of_claim(first) > 100 } # once the marks of others are dead
  first.exec("ROLLBACK")
  last = newcomer
  TESTS.is("what a transaction has only deleted is in front of no other session's mark", claim_marked(last), task)
  [db, old, late, other, first, last].each(&:close)
end

TESTS.part("databases that come and go") do
  db, = reconnect
  configure(databases: "#{TEST}, background_other", maintenance_interval: "100ms")
  admin do |connection|
    connection.exec("CREATE DATABASE background_other")
    other = connect("background_other")
    other.exec("CREATE EXTENSION tasker_core")
    TESTS.ok("a database that is made later gets its worker", alive(other))
    other.close
    TESTS.is("CREATE DATABASE ... TEMPLATE works beside it",
             connection.sqlstate { connection.exec("CREATE DATABASE background_copy TEMPLATE background_other") }, nil)
    TESTS.ok("and it comes back afterwards", eventually { connection.value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'tasker_core worker' AND datname = 'background_other'") == "1" })
    TESTS.is("ALTER DATABASE ... RENAME works beside it",
             connection.sqlstate { connection.exec("ALTER DATABASE background_other RENAME TO background_third") }, nil)
    connection.exec("ALTER DATABASE background_third RENAME TO background_other")
    TESTS.is("DROP DATABASE works beside it", connection.sqlstate { connection.exec("DROP DATABASE background_other") }, nil)
    connection.exec("CREATE DATABASE background_other TEMPLATE background_copy")
    TESTS.ok("a database of the same name gets a worker", eventually { connection.value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'tasker_core worker' AND datname = 'background_other'") == "1" })
    TESTS.is("DROP DATABASE ... WITH (FORCE) works too", connection.sqlstate { connection.exec("DROP DATABASE background_other WITH (FORCE)") }, nil)
    connection.exec("DROP DATABASE background_copy")
    connection.exec("CREATE ROLE background_nobody LOGIN")
    pid = alive(db)["pid"]
    nobody = connect(TEST, user: "background_nobody")
    TESTS.is("who may not drop a database does not disturb its worker", [nobody.sqlstate { nobody.exec("DROP DATABASE #{TEST}") }, alive(db)["pid"]], ["42501", pid])
    connection.exec("ALTER ROLE background_nobody CREATEDB")
    TESTS.is("nor who may not copy it", [nobody.sqlstate { nobody.exec("CREATE DATABASE background_copy TEMPLATE #{TEST}") }, alive(db)["pid"]], ["42501", pid])
  end
end

TESTS.finish
