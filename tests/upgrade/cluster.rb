# frozen_string_literal: true

# pg_upgrade of a server at work: tasks in every live state go from one major version of PostgreSQL to another,
# and go on there. Prints TAP.
#
#   OLD_BIN=directory NEW_BIN=directory WORK_DIRECTORY=directory [AS_SERVER="runuser -u postgres --"] ruby tests/upgrade/cluster.rb
#
# Both have the extension installed beside them. The directory belongs to whom the servers run as, and becomes
# full of what this makes.

require "json"
require "pg"
require "shellwords"

OLD_BIN, NEW_BIN, DIRECTORY = %w[OLD_BIN NEW_BIN WORK_DIRECTORY].map { |name| ENV.fetch(name) { abort "#{name} is not set" } }
AS_SERVER = Shellwords.split(ENV.fetch("AS_SERVER", ""))
LOG = File.join(DIRECTORY, "commands.log")
TESTS = {}

def test(name, good, *details)
  TESTS[name] = good
  details.flatten.each { |detail| puts "# #{detail}" } unless good
end

def finish
  TESTS.each.with_index(1) { |(name, good), number| puts "#{"not " unless good}ok #{number} - pg_upgrade: #{name}" }
  puts "1..#{TESTS.size}"
  exit TESTS.values.all?
end

def run(*command)
  said = IO.popen([*AS_SERVER, *command, chdir: DIRECTORY, err: %i[child out]], &:read)
  File.write(LOG, "$ #{command.join(" ")}\n#{said}\n", mode: "a")
  $?.success? || raise("failed: #{command.join(" ")}\n#{said.lines.last(20).join}")
end

# One cluster: its programs and its data.
class Cluster
  attr_reader :data

  def initialize(bin, name)
    @bin = bin
    @data = File.join(DIRECTORY, name)
    run(program("initdb"), "-D", @data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
    settings = ["listen_addresses = ''", "unix_socket_directories = '#{DIRECTORY}'", "fsync = off", "jit = off"]
    run("sh", "-c", 'printf "%s\n" "$@" >> "$0"', File.join(@data, "postgresql.conf"), *settings)
  end

  def program(name) = File.join(@bin, name)
  def start = run(program("pg_ctl"), "-D", @data, "-l", "#{@data}.log", "-w", "-t", "180", "start")
  def stop(mode = "fast") = run(program("pg_ctl"), "-D", @data, "-m", mode, "-w", "-t", "180", "stop")
  def running? = File.exist?(File.join(@data, "postmaster.pid"))
  def connect(database) = PG.connect(host: DIRECTORY, port: 5432, user: "postgres", dbname: database).tap { |db| db.exec("SET client_min_messages = warning; SET timezone = 'UTC'") }
end

def value(db, sql, *parameters) = db.exec_params(sql, parameters).getvalue(0, 0)
def column(db, sql, *parameters) = db.exec_params(sql, parameters).column_values(0)
def create(db, template, arguments = "") = value(db, "SELECT task_id FROM tasker.create_task('#{template}', '{\"n\": 1}', 'up'#{arguments})")
def claim(db, task, lease = 86_400) = db.exec_params("SELECT workflow_step_id, claim_token FROM tasker.claim_steps('w', 1, lease_seconds => $2, task_id => $1)", [task, lease]).values.first
def complete(db, claimed) = db.exec_params("SELECT c.status FROM tasker.complete_step($1, $2, '{\"done\": true}') c", claimed).values.dig(0, 0)

TEMPLATES = [
  { name: "flow", steps: [{ name: "a", retry: { max_attempts: 2, backoff_base_ms: 3_600_000 } }, { name: "b", depends_on: ["a"] }, { name: "c", depends_on: ["a"] }, { name: "d", depends_on: %w[b c] }] },
  { name: "approval", steps: [{ name: "wait", wait_for_signal: { name: "approved" } }, { name: "after", depends_on: ["wait"] }] },
  { name: "late", steps: [{ name: "a" }, { name: "b", depends_on: ["a"], delay_seconds: 3600 }] },
  { name: "sql", steps: [{ name: "s", handler: { sql: "public.answer" } }] }
].freeze

EVERYTHING = <<~SQL
  SELECT concat_ws(' ', t.task_id, t.state, t.context, t.paused_at, t.run_at, s.name, s.state, s.attempts, s.results, s.last_error, s.worker_id, s.visible_at, s.checkpoint)
  FROM tasker.tasks t JOIN tasker.workflow_steps s USING (task_id) ORDER BY s.workflow_step_id
SQL

# Tasks that stand in every way there is to stand.
def fill(db)
  db.exec("CREATE EXTENSION tasker_core")
  db.exec("CREATE FUNCTION public.answer(task jsonb, step jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '42'::jsonb $$")
  TEMPLATES.each { |template| db.exec_params("SELECT tasker.register_task_template($1)", [JSON.generate(template.merge(namespace: "up"))]) }
  tasks = %i[ready held expired retrying joining failed paused done cancelled scheduled].to_h { |name| [name, create(db, "flow", name == :scheduled ? ", run_at => clock_timestamp() + interval '1 hour'" : "")] }
  tasks.merge!(waiting: create(db, "approval"), late: create(db, "late"), sql: create(db, "sql"))
  held = claim(db, tasks[:held])
  claim(db, tasks[:expired], 0.1)
  db.exec_params("SELECT tasker.checkpoint_step($1, $2, '{\"at\": 7}')", held)
  db.exec_params("SELECT tasker.fail_step($1, $2, '\"busy\"')", claim(db, tasks[:retrying]))
  2.times { complete(db, claim(db, tasks[:joining])) }
  db.exec_params("SELECT tasker.fail_step($1, $2, '\"no\"', false)", claim(db, tasks[:failed]))
  complete(db, claim(db, tasks[:paused]))
  db.exec_params("SELECT tasker.pause_task($1, 'not now')", [tasks[:paused]])
  4.times { complete(db, claim(db, tasks[:done])) }
  db.exec_params("SELECT tasker.cancel_task($1)", [tasks[:cancelled]])
  complete(db, claim(db, tasks[:late]))
  db.exec("SELECT tasker.create_schedule('yearly', 'flow', '@yearly', '{}', 'up')")
  [tasks, held]
end

# What a person, and an hour, would do.
def go_on(db, tasks)
  value(db, "SELECT tasker.resume_task($1)", tasks[:paused])
  value(db, "SELECT tasker.retry_task($1)", tasks[:failed])
  value(db, "SELECT tasker.send_signal($1, 'approved', '\"yes\"')", tasks[:waiting])
  db.exec("SET tasker_core.clock_offset = 7200")
  db.exec("SELECT tasker.run_maintenance(), count(*) FROM tasker.run_sql_steps()")
  tasks.each_value do |task|
    while (claimed = claim(db, task))
      complete(db, claimed)
    end
  end
end

def events(db, cursor = nil) = db.exec_params("SELECT cursor, concat_ws(' ', name, task_id, workflow_step_id, payload, occurred_at) FROM tasker.read_events($1, 10000)", [cursor]).values

# Once nothing is under way any more.
def all_events(db, cursor = nil)
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 60
  written = value(db, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint").to_i
  sleep(0.05) until value(db, "SELECT xmin::text::bigint FROM tasker.events_lag()").to_i >= written || Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
  events(db, cursor)
end

clusters = []
begin
  clusters << (old = Cluster.new(OLD_BIN, "old"))
  old.start
  old.connect("postgres").then { |db| db.exec("CREATE DATABASE work").then { db.close } }
  db = old.connect("work")
  tasks, held = fill(db)
  told = all_events(db)
  cursor = told[told.size / 2].first
  before = column(db, EVERYTHING)
  from = value(db, "SHOW server_version")
  test("before it nothing is wrong", column(db, "SELECT violation FROM tasker.verify_all(NULL)") == [])
  db.close
  old.stop

  clusters << (new = Cluster.new(NEW_BIN, "new"))
  run(new.program("pg_upgrade"), "-b", OLD_BIN, "-B", NEW_BIN, "-d", old.data, "-D", new.data, "-U", "postgres", "--socketdir", DIRECTORY)
  new.start
  db = new.connect("work")
  puts "# from #{from} to #{value(db, "SHOW server_version")}"
  test("it is another major version", value(db, "SHOW server_version_num").to_i / 10_000 > from.to_i)
  test("every task and step is as it was", column(db, EVERYTHING) == before)
  test("nothing is wrong", column(db, "SELECT violation FROM tasker.verify_all(NULL)") == [])
  test("a claim from before is still held, with its token", complete(db, held) == "completed")
  go_on(db, tasks)
  states = column(db, "SELECT DISTINCT state FROM tasker.tasks WHERE task_id <> $1", tasks[:cancelled])
  test("all tasks come to their end", states == ["complete"], states)
  test("a SQL step ran", value(db, "SELECT results FROM tasker.workflow_steps WHERE task_id = $1", tasks[:sql]) == "42")
  test("new tasks have new ids", create(db, "flow").to_i > tasks.values.map(&:to_i).max)
  test("schedules are there", value(db, "SELECT count(*) FROM tasker.list_schedules('up') WHERE next_due_at > clock_timestamp()") == "1")
  whole = all_events(db)
  rest = events(db, cursor)
  test("a cursor from before goes on: what was told is not told again, and nothing is left out",
       whole.first(told.size) == told && rest == whole.drop((told.size / 2) + 1), "#{whole.size} events, #{rest.size} from the cursor on, #{told.size} before")
  test("and there are new ones", rest.any? { |_, event| event.start_with?("task.completed #{tasks[:waiting]} ") })
  test("nothing is wrong in the end", column(db, "SELECT violation FROM tasker.verify_all(NULL)") == [])
  db.close
ensure
  clusters.each { |cluster| cluster.stop("immediate") if cluster.running? }
end
finish
