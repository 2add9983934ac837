# frozen_string_literal: true

# Runs examples/nightly_report: a schedule, and steps that are SQL. Prints TAP.
#
#   TASKER_TEST_URL=... ruby tests/examples/nightly_report.rb              by run_maintenance() and run_sql_steps()
#   TASKER_TEST_URL=... ruby tests/examples/nightly_report.rb --worker     by the background worker of that database
#
# The role that the connection is made by is a superuser.

require "json"
require "pg"

SCRIPT = File.read(File.expand_path("../../examples/nightly_report/report.sql", __dir__))
URL = ENV.fetch("TASKER_TEST_URL") { abort "TASKER_TEST_URL names no database" }
BY_ITSELF = ARGV.include?("--worker")
PATIENCE = 120

def connect(**as) = PG.connect(URL, **as).tap { |connection| connection.exec("SET client_min_messages = warning") }

ADMIN = connect
ADMIN.exec("CREATE EXTENSION IF NOT EXISTS tasker_core")
ADMIN.exec("DO $$ BEGIN CREATE ROLE tasker_example_reporting LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
ADMIN.exec("DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO tasker_example_reporting', current_database()); END $$")
ADMIN.exec("SELECT tasker.grant_access('tasker_example_reporting', access, ARRAY['report']) FROM unnest(ARRAY['producer', 'worker', 'reader']) access")
REPORTING = PG.connect(**ADMIN.conninfo_hash.compact.merge(user: "tasker_example_reporting"))
REPORTING.exec("SET client_min_messages = warning")
2.times { REPORTING.exec(SCRIPT) }

# Days of orders, and one on which a fifth of the usual was sold: yesterday, and today, lest it be over before this is.
DAYS = ADMIN.exec("SELECT current_date - d FROM generate_series(2, 5) d").column_values(0)
REPORTING.exec_params(<<~SQL, [PG::TextEncoder::Array.new.encode(DAYS)])
  INSERT INTO report.orders (ordered_on, product, amount)
  SELECT d, p.product, p.price FROM unnest($1::date[]) d, (VALUES ('tea', 40), ('tea', 20), ('salt', 15.5), ('rope', 24.5)) p (product, price)
  UNION ALL SELECT max(d) + n, 'tea', 20 FROM unnest($1::date[]) d, generate_series(1, 2) n GROUP BY n
SQL
REPORTING.exec("INSERT INTO report.refunds SELECT ordered_on, order_id, 5 FROM report.orders ORDER BY order_id DESC LIMIT 2")

def due = ADMIN.exec("UPDATE tasker.schedules SET next_due_at = clock_timestamp() - interval '1 minute' WHERE name = 'nightly'")

# What the background worker does by itself.
def work
  sleep(0.05)
  return if BY_ITSELF

  ADMIN.exec("SELECT tasker.run_maintenance()")
  REPORTING.exec("SELECT tasker.run_sql_steps()")
end

def finished(task)
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + PATIENCE
  loop do
    state = REPORTING.exec_params("SELECT state FROM tasker.list_tasks('{\"namespace\": \"report\"}') WHERE task_id = $1", [task]).getvalue(0, 0)
    return state if state == "complete" || Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline

    work
  end
end

def report(day)
  task = REPORTING.exec_params("SELECT task_id FROM tasker.create_task('nightly_report', $1, 'report')", [JSON.generate(day: day)]).getvalue(0, 0)
  finished(task)
end

def scheduled
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + PATIENCE
  loop do
    task = REPORTING.exec("SELECT last_task_id FROM tasker.list_schedules('report')").getvalue(0, 0)
    return task if task || Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline

    work
  end
end

results = []
results << ["days before are reported", DAYS.map { |day| report(day) } == %w[complete] * 4]
due
task = scheduled
results << ["the schedule makes a task, and it completes", finished(task) == "complete"]
row = REPORTING.exec_params("SELECT day, orders, sales, refunds, products FROM report.daily WHERE task_id = $1", [task]).first
results << ["yesterday is reported by it", row&.slice("orders", "sales", "refunds") == { "orders" => "1", "sales" => "20", "refunds" => "5" }]
results << ["with its products", row && JSON.parse(row["products"]) == [{ "product" => "tea", "total" => 20 }]]
results << ["three at most of a day with more",
            REPORTING.exec_params("SELECT jsonb_array_length(products) FROM report.daily WHERE day = $1", [DAYS.last]).getvalue(0, 0) == "3"]
results << ["sales that fell are told, others are not",
            REPORTING.exec("SELECT day, message LIKE '%: 20, -80.0 %%' FROM report.alerts").values == [[row&.fetch("day"), "t"]]]
states = REPORTING.exec_params("SELECT state, worker_id FROM tasker.workflow_steps WHERE task_id = $1 ORDER BY step_no", [task]).values
results << ["every step ran as the role that registered it", states == [["complete", "sql:tasker_example_reporting"]] * 6]
results << ["nothing is wrong", ADMIN.exec("SELECT FROM tasker.verify_all(NULL)").ntuples.zero?]

results.each_with_index { |(name, good), i| puts "#{"not " unless good}ok #{i + 1} - #{name}" }
puts "1..#{results.size}"
exit(results.all?(&:last))
