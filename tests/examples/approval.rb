# frozen_string_literal: true

# Runs examples/approval with amounts around its thresholds. Prints TAP.
#
#   ruby tests/examples/approval.rb     with TASKER_TEST_URL naming a database for it

require "json"
require "open3"
require "pg"

ROOT = File.expand_path("../..", __dir__)
URL = ENV.fetch("TASKER_TEST_URL") { abort "TASKER_TEST_URL names no database" }
ASKED = { "manager_approval" => "manager", "finance_review" => "finance" }.freeze

# amount => who is asked, what they say, and what comes of it
CASES = {
  "0.01" => [[], {}, "paid", ["the rules"]],
  "999.99" => [[], {}, "paid", ["the rules"]],
  "1000" => [%w[manager_approval], { "manager" => true }, "paid", %w[manager]],
  "4999.99" => [%w[manager_approval], { "manager" => false }, "refused", %w[manager]],
  "5000" => [%w[finance_review manager_approval], { "manager" => true, "finance" => true }, "paid", %w[finance manager]],
  "10000" => [%w[finance_review manager_approval], { "manager" => true, "finance" => false }, "refused", %w[finance manager]]
}.freeze

CONNECTION = PG.connect(URL)
CONNECTION.set_notice_receiver { nil }
CONNECTION.exec("CREATE EXTENSION IF NOT EXISTS tasker_core")
said, status = Open3.capture2e("psql", "-Xq", "-d", URL, "-f", File.join(ROOT, "examples/approval/approval.sql"))
abort said unless status.success?

def value(sql, *values) = CONNECTION.exec_params(sql, values).getvalue(0, 0)
def run = CONNECTION.exec("SELECT status FROM tasker.run_sql_steps(1000, array['approval'])").column_values(0)

def steps(task, state)
  CONNECTION.exec_params("SELECT name FROM tasker.workflow_steps WHERE task_id = $1 AND state = $2 ORDER BY name", [task, state]).column_values(0)
end

RESULTS = []
def check(name, found, wanted)
  RESULTS << (found == wanted)
  puts "#{"not " unless found == wanted}ok #{RESULTS.size} - #{name}"
  puts "#   found #{found.inspect}, wanted #{wanted.inspect}" unless found == wanted
end

tasks = CASES.to_h { |amount, _| [amount, value("SELECT approval.submit('ann', $1)", amount)] }
# a decision that comes before anybody waits for it is not lost
value("SELECT tasker.send_signal($1, 'manager', $2)", tasks["1000"], JSON.generate(approved: true, by: "manager"))
check("no step failed", run.uniq, ["completed"])

CASES.each do |amount, (asked, answers, outcome, by)|
  task = tasks[amount]
  waiting = amount == "1000" ? [] : asked
  check("#{amount}: who is asked", steps(task, "pending") & ASKED.keys, waiting)
  check("#{amount}: who is not", steps(task, "skipped") & [*ASKED.keys, "auto_approve"], [*ASKED.keys, "auto_approve"].sort - asked - (asked.empty? ? ["auto_approve"] : []))
  waiting.each { |step| value("SELECT tasker.send_signal($1, $2, $3)", task, ASKED[step], JSON.generate(approved: answers[ASKED[step]], by: ASKED[step])) }
  run
  check("#{amount}: the task is over", value("SELECT state FROM tasker.tasks WHERE task_id = $1", task), "complete")
  taken = (asked.empty? ? ["auto_approve"] : asked) + %w[decide record route] + (outcome == "paid" ? ["payout"] : [])
  check("#{amount}: the steps that were run", steps(task, "complete"), taken.sort)
  expense = CONNECTION.exec_params("SELECT outcome, array_to_json(decided_by) AS by, (SELECT p.amount FROM approval.payments p WHERE p.expense_id = e.expense_id) AS paid FROM approval.expenses e WHERE amount = $1", [amount]).first
  check("#{amount}: what came of it", [expense["outcome"], JSON.parse(expense["by"]), expense["paid"]], [outcome, by, outcome == "paid" ? amount : nil])
end
check("every payment is a task of its own", value("SELECT count(*) FROM approval.payments p JOIN tasker.tasks t USING (task_id) WHERE t.parent_step_id IS NOT NULL AND t.state = 'complete'"), "4")
refused = begin
  value("SELECT approval.submit('ann', -1)")
rescue PG::Error => e
  e.result.error_field(PG::PG_DIAG_SQLSTATE)
end
check("a negative amount is refused, and leaves no expense", [refused, value("SELECT count(*) FROM approval.expenses WHERE amount < 0")], %w[TC022 0])
check("verify_all finds nothing", CONNECTION.exec("SELECT * FROM tasker.verify_all(NULL)").ntuples, 0)

puts "1..#{RESULTS.size}"
exit 1 unless RESULTS.all?
