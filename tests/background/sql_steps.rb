# frozen_string_literal: true

# SQL steps that the background worker runs: as whom, with what, how they end, and what happens to
# their process. Prints TAP.
#
#   TASKER_TEST_SOCKET=directory TASKER_TEST_PG_CTL="pg_ctl -D ... -l LOG" ruby tests/background/sql_steps.rb
#
# The server there is the test's own: its settings are changed, its processes killed.

require_relative "harness"

TEST = "background_sql"
OWNED = "background_owned"
OTHERS = "background_test"
TESTS = Tests.new

def sql_workers(db) = db.column("SELECT pid FROM pg_stat_activity WHERE backend_type = 'tasker_core SQL worker' AND datname = current_database()")
def no_sql_workers(db) = eventually { sql_workers(db).empty? }

# The process that runs the function of a task, once it does.
def runs(db, task)
  eventually do
    db.exec("SELECT pid FROM pg_stat_activity WHERE backend_type = 'tasker_core SQL worker' AND datname = current_database() AND state = 'active' AND query LIKE $1",
            "SQL step #{(task * 1_000_000) + 1}:%").first&.fetch("pid")
  end
end

def template(db, name, *functions, **keys)
  steps = functions.each_with_index.map do |function, i|
    { name: "s#{i + 1}", handler: { sql: function }, depends_on: i.zero? ? [] : ["s#{i}"], retry: { max_attempts: 1 } }.merge(keys)
  end
  db.exec("SELECT tasker.register_task_template($1)", JSON.generate(name:, namespace: "sql", steps:))
end

def create(db, template, context = {}) = db.value("SELECT task_id FROM tasker.create_task($1, $2, 'sql')", template, JSON.generate(context)).to_i
def ended(db, task) = eventually { %w[complete error cancelled].find { |state| state == db.state(task) } }
def step(db, task, number = 1) = db.exec("SELECT * FROM tasker.workflow_steps WHERE task_id = $1 AND step_no = $2", task, number).first
def result(db, task, number = 1) = step(db, task, number)["results"]&.then { |json| JSON.parse(json) }
def error(db, task, number = 1) = step(db, task, number)["last_error"]&.then { |json| JSON.parse(json) }
def why(db, task) = db.column("SELECT reason || ': ' || detail FROM tasker.explain_step($1)", (task * 1_000_000) + 1).join("\n")

# The worker has looked at what is due since.
def rounds_pass(db)
  ran_at = db.value("SELECT max(ran_at) FROM tasker.maintenance")
  eventually { db.value("SELECT max(ran_at) > $1::timestamptz + interval '1 s' FROM tasker.maintenance", ran_at) == "t" }
end

# What goes wrong with a function, in a few words.
def outcome(author, db, template, context = {})
  task = create(author, template, context)
  [ended(db, task), error(db, task)&.fetch("sqlstate", nil)]
end

FUNCTIONS = <<~SQL
  CREATE TABLE s.log (line text);
  CREATE TABLE s.parents (id int PRIMARY KEY);
  CREATE TABLE s.children (parent int REFERENCES s.parents DEFERRABLE INITIALLY DEFERRED);
  CREATE FUNCTION s.who(task jsonb, step jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('user', current_user, 'session', session_user, 'system', pg_catalog.current_setting('app.colour', true), 'parents', step -> 'dependency_results', 'pid', pg_backend_pid()) $$;
  CREATE FUNCTION s.quiet(task jsonb, step jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '1'::jsonb $$;
  CREATE FUNCTION s.leaves_traces(task jsonb, step jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
    PERFORM set_config('app.colour', 'left behind', false), pg_advisory_lock(4711);
    CREATE TEMP TABLE traces (x int);
    RETURN to_jsonb(pg_backend_pid());
  END $$;
  CREATE FUNCTION s.finds_traces(task jsonb, step jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_array(current_setting('app.colour', true), to_regclass('pg_temp.traces'), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())) $$;
  CREATE FUNCTION s.sleeps(task jsonb, step jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO s.log VALUES ('sleeps');
    PERFORM pg_sleep(600);
    RETURN '1';
  END $$;
  CREATE FUNCTION s.dies(task jsonb, step jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_terminate_backend(pg_backend_pid());
    PERFORM pg_sleep(600);
    RETURN '1';
  END $$;
  CREATE FUNCTION s.tries(task jsonb, step jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO s.log VALUES ('tries');
    EXECUTE task #>> '{context,sql}';
    RETURN to_jsonb(current_user);
  END $$;
SQL

# A search_path that is full of impostors, for every session of the role.
IMPOSTORS = <<~SQL
  CREATE SCHEMA evil;
  CREATE FUNCTION evil.run() RETURNS void LANGUAGE sql SECURITY INVOKER AS $$ INSERT INTO s.log VALUES ('impostor as ' || current_user) $$;
  CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.run(); RETURN '2000-01-01'; END $$;
  CREATE FUNCTION evil.jsonb_build_object(VARIADIC "any") RETURNS jsonb LANGUAGE internal AS 'jsonb_build_object';
  CREATE FUNCTION evil.eq(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.run(); RETURN false; END $$;
  CREATE OPERATOR evil.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.eq);
  GRANT USAGE ON SCHEMA evil TO PUBLIC;
SQL

# An old run on this server may have left them.
def set_up
  admin do |connection|
    [TEST, OWNED].each { |name| connection.exec("DROP DATABASE IF EXISTS #{name} WITH (FORCE)") }
    connection.exec("CREATE DATABASE #{TEST}")
    %w[sql_author sql_second].each do |role|
      connection.exec("DROP ROLE IF EXISTS #{role}")
      connection.exec("CREATE ROLE #{role} LOGIN")
    end
  end
  db = connect(TEST)
  db.exec("CREATE EXTENSION tasker_core")
  %w[sql_author sql_second].product(%w[producer worker]) { |role, access| db.exec("SELECT tasker.grant_access($1, $2)", role, access) }
  db.exec("CREATE SCHEMA s AUTHORIZATION sql_author")
  db.exec("GRANT USAGE ON SCHEMA s TO sql_second")
  configure(databases: "#{OTHERS}, #{TEST}", maintenance_interval: "500ms", notify_interval: "10ms")
  db
end

db = set_up
author = connect(TEST, user: "sql_author")
FUNCTIONS.split(/;\n(?=CREATE)/).each { |statement| author.exec(statement) }
db.exec("ALTER ROLE sql_author SET app.colour = 'blue'")

TESTS.part("as whom, and with what") do
  template(author, "chain", "s.who", "s.who")
  task = create(author, "chain")
  TESTS.is("steps run, and nobody calls run_sql_steps()", ended(db, task), "complete")
  TESTS.is("as the role that registered them, from the start, with its settings",
           result(db, task).slice("user", "session", "system"), { "user" => "sql_author", "session" => "sql_author", "system" => "blue" })
  TESTS.is("with the results of the steps before", result(db, task, 2)["parents"]["s1"], result(db, task))
  TESTS.is("by a worker that says so", step(db, task)["worker_id"], "sql:sql_author")
  template(author, "traces", "s.leaves_traces", "s.finds_traces")
  task = create(author, "traces")
  ended(db, task)
  TESTS.is("what a function leaves in its session is gone for the next", result(db, task, 2), ["blue", nil, 0])
  TESTS.ok("a process without work ends", no_sql_workers(db))
end

TESTS.part("mixed with an external worker") do
  author.exec("SELECT tasker.register_task_template($1)", <<~JSON)
    {"name": "mixed", "namespace": "sql", "steps": [{"name": "a", "handler": {"sql": "s.quiet"}}, {"name": "b", "depends_on": ["a"]}, {"name": "c", "handler": {"sql": "s.who"}, "depends_on": ["a", "b"]}]}
  JSON
  task = create(author, "mixed")
  claim = eventually { author.claim(task) }
  author.exec("SELECT tasker.complete_step($1, $2, '\"sent\"')", *claim)
  TESTS.is("each waits for the other", [ended(db, task), result(db, task, 3)&.fetch("parents")], ["complete", { "a" => 1, "b" => "sent" }])
end

TESTS.part("what goes wrong") do
  %w[tries sleeps].each { |name| template(author, name, "s.#{name}") }
  template(author, "brief", "s.sleeps", timeout_seconds: 1)
  TESTS.is("an exception", outcome(author, db, "tries", sql: "DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'P1234'; END $$"), %w[error P1234])
  TESTS.is("a constraint that is looked at with the commit", outcome(author, db, "tries", sql: "INSERT INTO s.children VALUES (1)"), %w[error 23503])
  TESTS.is("timeout_seconds", outcome(author, db, "brief"), %w[error 57014])
  TESTS.is("a transaction command", outcome(author, db, "tries", sql: "COMMIT").first, "error")
  db.exec("ALTER ROLE sql_second SET statement_timeout = '300ms'")
  db.exec("GRANT INSERT ON s.log TO sql_second")
  second = connect(TEST, user: "sql_second")
  template(second, "second", "s.sleeps")
  TESTS.is("statement_timeout of the role", outcome(second, db, "second"), %w[error 57014])
  db.exec("ALTER ROLE sql_second RESET statement_timeout")
  TESTS.is("nothing of that is left", db.value("SELECT count(*) FROM s.log"), "0")
  TESTS.is("a failed attempt is retried", begin
    template(author, "again", "s.tries", retry: { max_attempts: 2, backoff: "none" })
    task = create(author, "again", sql: "SELECT 1 / 0")
    [ended(db, task), step(db, task)["attempts"]]
  end, %w[error 2])
  second.close
end

TESTS.part("more rights than its author has") do
  { "RESET ROLE" => "42501", "SET ROLE postgres" => "42501", "SET ROLE NONE" => "42501", "SET SESSION AUTHORIZATION postgres" => "42501",
    "SET SESSION AUTHORIZATION DEFAULT" => "42501", "SELECT * FROM tasker.run_sql_steps()" => "42501", "SELECT * FROM tasker.tasks" => "42501",
    "INSERT INTO tasker.lanes SELECT * FROM tasker.lanes" => "42501", "ALTER ROLE sql_author SUPERUSER" => "42501", "COPY s.log FROM PROGRAM 'id'" => "42501",
    "DISCARD ALL" => "25001" }.each do |sql, sqlstate|
    TESTS.is("a function that says #{sql}", outcome(author, db, "tries", sql:), ["error", sqlstate])
  end
  IMPOSTORS.split(/;\n/).each { |statement| db.exec(statement) }
  db.exec("GRANT INSERT ON s.log TO PUBLIC")
  db.exec("ALTER ROLE sql_author SET search_path = evil, s, pg_catalog")
  no_sql_workers(db)
  task = create(author, "chain")
  TESTS.is("a search_path of the role that is full of impostors", [ended(db, task), result(db, task, 2)["user"]], %w[complete sql_author])
  TESTS.is("nobody called one of them", db.column("SELECT line FROM s.log"), [])
  db.exec("ALTER ROLE sql_author RESET search_path")
end

TESTS.part("a role that may not") do
  no_sql_workers(db)
  { "log in" => ["ALTER ROLE sql_author NOLOGIN", "ALTER ROLE sql_author LOGIN", "is not permitted to log in"],
    "connect" => ["REVOKE CONNECT ON DATABASE #{TEST} FROM PUBLIC", "GRANT CONNECT ON DATABASE #{TEST} TO PUBLIC", "may not connect to this database"],
    "be found by its name" => ["ALTER ROLE sql_author RENAME TO sql_renamed", "ALTER ROLE sql_renamed RENAME TO sql_author", "the role does not exist"],
    "call run_sql_steps()" => ["SELECT tasker.revoke_access('sql_author', 'producer'), tasker.revoke_access('sql_author', 'worker')",
                               "SELECT tasker.grant_access('sql_author', 'producer'), tasker.grant_access('sql_author', 'worker')", "has no access to tasker.run_sql_steps()"] }.each do |name, (off, on, said)|
    db.exec("DELETE FROM tasker.workers")
    db.exec(off)
    task = create(db, "chain")
    rounds_pass(db)
    TESTS.is("#{name}: its steps wait", [db.state(task), sql_workers(db)], ["pending", []])
    TESTS.ok("#{name}: explain_step says so", why(db, task).include?(said), why(db, task))
    db.exec(on)
    TESTS.is("#{name}: when it may again, they run", ended(db, task), "complete")
    no_sql_workers(db)
  end
  db.exec("SELECT tasker.pause_namespace('sql')")
  task = create(author, "chain")
  rounds_pass(db)
  TESTS.is("steps of a namespace that is paused start no process", [db.state(task), sql_workers(db)], ["pending", []])
  db.exec("SELECT tasker.resume_namespace('sql')")
  TESTS.is("and run when it is resumed", ended(db, task), "complete")
  template(author, "revoked", "s.quiet")
  db.exec("REVOKE EXECUTE ON FUNCTION s.quiet FROM PUBLIC, sql_author")
  TESTS.is("EXECUTE that was taken back", outcome(author, db, "revoked"), %w[error 42501])
  db.exec("GRANT EXECUTE ON FUNCTION s.quiet TO PUBLIC, sql_author")
end

TESTS.part("an owner without superuser rights") do
  admin do |connection|
    connection.exec("DROP ROLE IF EXISTS sql_owner")
    connection.exec("CREATE ROLE sql_owner LOGIN")
    connection.exec("CREATE DATABASE #{OWNED} OWNER sql_owner")
  end
  owner = connect(OWNED, user: "sql_owner")
  owner.exec("CREATE EXTENSION tasker_core")
  owner.exec("CREATE TABLE seen (who text)")
  owner.exec("CREATE SCHEMA s")
  owner.exec("CREATE FUNCTION s.who(task jsonb, step jsonb) RETURNS jsonb LANGUAGE sql AS $$ INSERT INTO public.seen VALUES (current_user) RETURNING to_jsonb(who) $$")
  %w[own forged].each { |name| template(owner, name, "s.who") }
  # whose a step is, in a table of his
  owner.exec("UPDATE tasker.named_steps s SET queue = 'sql:postgres' FROM tasker.named_tasks n WHERE n.named_task_id = s.named_task_id AND n.name = 'forged'")
  owner.close
  owner = connect(OWNED, user: "sql_owner")
  forged = create(owner, "forged")
  own = create(owner, "own")
  owner.exec("SELECT count(*) FROM tasker.step_queue q JOIN tasker.lanes l USING (lane_id) WHERE l.queue = 'sql:postgres'").then do |rows|
    TESTS.is("he can write into his tables that a step is a superuser's", rows.getvalue(0, 0), "1")
  end
  configure(databases: "#{OTHERS}, #{TEST}, #{OWNED}")
  TESTS.is("his own steps run", [ended(owner, own), result(owner, own)], %w[complete sql_owner])
  rounds_pass(owner)
  TESTS.is("that one does not, as nobody", [owner.state(forged), owner.column("SELECT who FROM seen")], ["pending", %w[sql_owner]])
  TESTS.ok("explain_step says so", why(owner, forged).include?("is none that the owner of the extension may act as"), why(owner, forged))
  owner.close
  configure(databases: "#{OTHERS}, #{TEST}")
  TESTS.is("DROP DATABASE", admin { |connection| connection.sqlstate { connection.exec("DROP DATABASE #{OWNED}") } }, nil)
end

TESTS.part("a process that is ended") do
  template(author, "dies", "s.dies", timeout_seconds: 1)
  dying = create(author, "dies")
  other = create(author, "chain")
  TESTS.is("other steps go on", ended(db, other), "complete")
  TESTS.is("a function that ends its process has lost its attempt when the lease is over", [ended(db, dying), step(db, dying)["attempts"]], %w[error 1])
  task = create(author, "sleeps")
  pid = runs(db, task)
  TESTS.is("cancelling a task does not wait for its function", db.value("SELECT tasker.cancel_task($1)", task), "t")
  db.exec("SELECT pg_cancel_backend($1)", pid)
  other = create(author, "chain")
  TESTS.is("which comes to nothing, and the next step runs", [ended(db, other), db.state(task), db.value("SELECT count(*) FROM s.log")], %w[complete cancelled 0])
  task = create(author, "sleeps")
  db.exec("SELECT pg_cancel_backend($1)", runs(db, task))
  TESTS.is("pg_cancel_backend() ends an attempt", [ended(db, task), error(db, task)["sqlstate"]], %w[error 57014])
end

TESTS.part("how many") do
  no_sql_workers(db)
  second = connect(TEST, user: "sql_second")
  configure(max_sql_workers: 0)
  eventually { db.value("SHOW tasker_core.max_sql_workers") == "0" }
  db.exec("DELETE FROM tasker.workers")
  task = create(author, "chain")
  rounds_pass(db)
  TESTS.is("max_sql_workers = 0: none", [db.state(task), sql_workers(db)], ["pending", []])
  TESTS.ok("explain_step says so", why(db, task).include?("tasker_core.max_sql_workers is 0"), why(db, task))
  configure(max_sql_workers: 1)
  TESTS.is("max_sql_workers = 1: one", ended(db, task), "complete")
  template(second, "theirs", "s.quiet")
  TESTS.is("and roles take turns", [create(author, "chain"), create(second, "theirs")].map { |one| ended(db, one) }, %w[complete complete])
  configure(max_sql_workers: 2)
  eventually { db.value("SHOW tasker_core.max_sql_workers") == "2" }
  tasks = Array.new(3) { create(author, "sleeps") }
  runs(db, tasks.first)
  of_author = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'tasker_core SQL worker' AND datname = current_database() AND usename = 'sql_author'"
  TESTS.is("one process for a role", db.value(of_author), "1")
  task = create(second, "theirs")
  TESTS.is("and another for another role beside it", ended(db, task), "complete")
  tasks.each { |one| db.exec("SELECT tasker.cancel_task($1)", one) }
  db.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'tasker_core SQL worker' AND datname = current_database()")
  no_sql_workers(db)
  second.close
end

LOG = Shellwords.split(ENV.fetch("TASKER_TEST_PG_CTL")).then { |words| words[words.index("-l") + 1] }
def said_no_slot = File.foreach(LOG, encoding: "BINARY").count { |line| line.include?("could not start a background worker for SQL steps") }

TESTS.part("no free slot") do
  most = db.value("SHOW max_worker_processes").to_i
  before = said_no_slot
  configure(max_sql_workers: 32, max_sql_workers_per_role: 32)
  tasks = Array.new(most + 2) { create(author, "sleeps") }
  TESTS.ok("when max_worker_processes are in use, that is in the log", eventually { said_no_slot > before })
  rounds_pass(db)
  TESTS.is("once", said_no_slot - before, 1)
  tasks.each { |one| db.exec("SELECT tasker.cancel_task($1)", one) }
  db.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'tasker_core SQL worker' AND datname = current_database()")
  task = create(author, "chain")
  TESTS.is("and steps run when there is one again", ended(db, task), "complete")
  configure(max_sql_workers: 2, max_sql_workers_per_role: 1)
end

def server(command) = system(*Shellwords.split(ENV.fetch("TASKER_TEST_PG_CTL")), *command, %i[out err] => File::NULL)

TESTS.part("the server") do
  no_sql_workers(db)
  task = create(author, "sleeps")
  Process.kill(:KILL, runs(db, task).to_i)
  TESTS.ok("a function that is killed takes the server down", eventually { db.sqlstate { db.exec("SELECT 1") } })
  db = connect(TEST)
  author = connect(TEST, user: "sql_author")
  other = create(author, "chain")
  TESTS.is("which comes back, and runs others", ended(db, other), "complete")
  TESTS.is("but not that one, until its lease is over", [step(db, task)["state"], step(db, task)["worker_id"]], %w[in_progress sql:sql_author])
  db.exec("SELECT tasker.reset_step($1)", (task * 1_000_000) + 1)
  runs(db, task)
  TESTS.ok("a fast shutdown waits for no function", server(%w[-m fast -w restart]))
  db = connect(TEST)
  author = connect(TEST, user: "sql_author")
  db.exec("SELECT tasker.cancel_task($1)", task)
  TESTS.is("and nothing is wrong", db.column("SELECT violation FROM tasker.verify_all(NULL)"), [])
end

TESTS.part("DROP EXTENSION and DROP DATABASE") do
  task = create(author, "sleeps")
  runs(db, task)
  db.exec("DROP EXTENSION tasker_core CASCADE")
  TESTS.ok("the process leaves with the extension", no_sql_workers(db))
  db.exec("CREATE EXTENSION tasker_core")
  %w[producer worker].each { |access| db.exec("SELECT tasker.grant_access('sql_author', $1)", access) }
  author.close
  author = connect(TEST, user: "sql_author")
  template(author, "sleeps", "s.sleeps")
  task = create(author, "sleeps")
  TESTS.ok("and comes with it", runs(db, task))
  [author, db].each(&:close)
  TESTS.is("DROP DATABASE does not wait for a function", admin { |connection| connection.sqlstate { connection.exec("DROP DATABASE #{TEST}") } }, nil)
end

TESTS.part("examples/nightly_report") do
  admin do |connection|
    connection.exec("DROP DATABASE IF EXISTS background_report WITH (FORCE)")
    connection.exec("CREATE DATABASE background_report")
  end
  configure(databases: "#{OTHERS}, background_report")
  said = IO.popen({ "TASKER_TEST_URL" => "postgresql:///background_report?host=#{SOCKET}&port=5432&user=postgres" },
                  [RbConfig.ruby, File.expand_path("../examples/nightly_report.rb", __dir__), "--worker"], &:read)
  TESTS.is("the nightly report runs by itself", [$?.success?, said.lines.grep(/^not ok/)], [true, []])
  TESTS.is("and its database can be dropped", admin { |connection| connection.sqlstate { connection.exec("DROP DATABASE background_report") } }, nil)
end

configure(databases: OTHERS, maintenance_interval: "100ms")
admin { |connection| %w[sql_author sql_second sql_owner tasker_example_reporting].each { |role| connection.exec("DROP ROLE IF EXISTS #{role}") } }
TESTS.finish
