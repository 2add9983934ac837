# frozen_string_literal: true

# Calls every SQL function with random and hostile arguments, as an admin, as a role with
# some namespaces, and as one that has EXECUTE and no access. Prints TAP: no connection is
# lost, no internal error (XX000), no SQLSTATE but those that the extension or the
# server's own checks of arguments raise; verify_all() is empty at the end.
#
#   ruby tests/attack/fuzz.rb [--seconds 8 | --calls 100000] [--seed N]
#
# A failure prints the statement and the seed that makes the run again.

require "optparse"
require_relative "support"

options = { seconds: 8, calls: nil, seed: Random.new_seed % 1_000_000 }
OptionParser.new do |parser|
  parser.on("--seconds N", Float) { |n| options[:seconds] = n }
  parser.on("--calls N", Integer) { |n| options[:calls] = n }
  parser.on("--seed N", Integer) { |n| options[:seed] = n }
end.parse!
RANDOM = Random.new(options[:seed])
TAP = Tap.new

# Refusals of arguments, limits, privileges and states; a statement that took too long.
EXPECTED = /\A(00000|22\w{3}|23514|TC0\d\d|42501|42704|54\w{3}|57014|55P03|40P01|40001|53200)\z/

ADMIN = connect_as(nil)
ROLES = %w[tasker_fuzz_some tasker_fuzz_none].freeze
ADMIN.exec("DROP EXTENSION IF EXISTS tasker_core CASCADE; CREATE EXTENSION tasker_core")
def drop_roles
  ROLES.each do |role|
    next if ADMIN.exec("SELECT FROM pg_roles WHERE rolname = '#{role}'").ntuples.zero?

    ADMIN.exec("DROP OWNED BY #{role}; DROP ROLE #{role}")
  end
end
drop_roles
ROLES.each { |role| ADMIN.exec("CREATE ROLE #{role} LOGIN") }
%w[producer worker operator].each { |access| ADMIN.exec("SELECT tasker.grant_access('tasker_fuzz_some', '#{access}', '{fuzz}')") }
ADMIN.exec("GRANT USAGE ON SCHEMA tasker TO tasker_fuzz_none; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA tasker TO tasker_fuzz_none")
%w[fuzz other].each do |ns|
  ADMIN.exec_params("SELECT tasker.register_task_template($1)", [<<~JSON])
    {"name": "graph", "namespace": "#{ns}", "steps": [{"name": "a"}, {"name": "b", "depends_on": ["a"]}, {"name": "c", "depends_on": ["a"]},
      {"name": "d", "depends_on": ["b", "c"], "retry": {"max_attempts": 2, "backoff": "none"}}]}
  JSON
  20.times { ADMIN.exec("SELECT FROM tasker.create_task('graph', namespace => '#{ns}')") }
end
SESSIONS = { "admin" => ADMIN, "some" => connect_as(ROLES[0]), "none" => connect_as(ROLES[1]) }.freeze
SESSIONS.each_value { |session| session.exec("SET statement_timeout = '5s'; SET lock_timeout = '5s'") }

FUNCTIONS = ADMIN.exec(<<~SQL).map { |row| [row["name"], row["arguments"].split("|").map { |a| a.split(" ", 3) }] }
  SELECT p.proname AS name, (SELECT coalesce(string_agg(concat_ws(' ', a.name,
      CASE WHEN a.position > p.pronargs - p.pronargdefaults THEN 'optional' ELSE 'required' END, format_type(a.type, NULL)), '|' ORDER BY a.position), '')
    FROM unnest(p.proargnames, p.proargtypes::oid[]) WITH ORDINALITY a (name, type, position) WHERE a.position <= p.pronargs) AS arguments
  FROM pg_proc p WHERE p.pronamespace = 'tasker'::regnamespace ORDER BY 1
SQL

def pick(*values) = values[RANDOM.rand(values.size)]

TEXTS = ["", " ", "fuzz", "other", "graph", "default", "a", "b", "fuzz/graph", "fuzz/graph@0.1.0", "0.1.0", "0.10.0-rc.1", "pending", "complete",
         "cancelled", "skipped", "resolved_manually", "in_progress", "error", "worker", "reader", "mermaid", "dot", "text", "linear", "exponential",
         "manually_resolved", "*", "step.*", "order.shipped", "task.completed", "x" * 63, "x" * 64, "x" * 10_000, "é" * 128, "😀", "a\nb", "a\tb", "a\"b", "a'b",
         "a\\b", "%", "_", "';--", "$1", "1-1-1-1", "9" * 400, "-1", "NaN", "infinity", "\u0001", "\u00ad", "\u202e"].freeze
JSONS = ["null", "true", "0", "-0", "1e400", "-9223372036854775808", "18446744073709551616", "9" * 10_000, "0.#{"0" * 1000}1", '""', '"\\u0000"', "[]", "{}",
         "[[[[[[]]]]]]", "[" * 500 + "]" * 500, "[" * 10_000 + "]" * 10_000, '{"a": 1, "a": 2}', '{"": ""}', "NaN", '{"type": "object"}', '{"$ref": "#"}',
         '{"pattern": "((((a*)*)*)*)*$"}', '{"allOf": [{"$ref": "#"}]}', '{"namespace": "fuzz"}', '{"state": "error", "tag": "x"}', '{"created_after": "infinity"}',
         '{"parent_task_id": 9e400}', '{"parent_task_id": -1}',
         '[{"name": "graph", "namespace": "fuzz"}]', '[{"name": "graph", "namespace": "fuzz", "run_at": "infinity"}]', '[{}]', '[1, null]',
         '{"name": "x", "namespace": "fuzz", "steps": []}', '{"name": "x", "namespace": "fuzz", "steps": [{"name": "a", "depends_on": ["a"]}]}',
         '{"name": "y", "namespace": "fuzz", "steps": [{"name": "a"}, {"name": "b", "depends_on": ["a"]}]}', '{"name": 1, "steps": {"a": 1}}',
         '{"name": "z", "namespace": "fuzz", "version": "99999999999999999999.0.0", "steps": [{"name": "a", "retry": {"max_attempts": 1e300}, "timeout_seconds": -1}]}'].freeze
INTEGERS = [0, 1, -1, 2, 3, 5, 7, 10, 100, 1000, 10_000, 10_001, 999_999, 2_147_483_647, -2_147_483_648].freeze
BIGINTS = [0, 1, -1, 1_000_000, 1_000_001, 9_223_372_036_853, 9_223_372_036_854, 9_223_372_036_854_775_807, -9_223_372_036_854_775_808].freeze

def bigint
  task = RANDOM.rand(1..45)
  pick(task, task, task * 1_000_000 + RANDOM.rand(0..6), task * 1_000_000 + RANDOM.rand(1..4), BIGINTS.sample(random: RANDOM), $token || 7)
end

def array(type) = "ARRAY[#{Array.new(pick(0, 1, 1, 2, 3)) { RANDOM.rand < 0.05 ? "NULL" : literal(type) }.join(", ")}]::#{type}[]"

def quoted(text) = ADMIN.escape_literal(text.delete("\0"))

def literal(type)
  return "NULL" if RANDOM.rand < 0.04

  case type
  when /\A(.*)\[\]\z/ then RANDOM.rand < 0.03 ? "'{{1,2},{3,4}}'" : array(Regexp.last_match(1))
  when "bigint" then "(#{bigint}::numeric)::bigint"
  when "integer" then "(#{pick(*INTEGERS)})"
  when "smallint" then pick(-1, 0, 1).to_s
  when "text", "name" then quoted(pick(*TEXTS))
  when "jsonb" then quoted(pick(*JSONS))
  when "boolean" then pick("true", "false")
  when "double precision" then pick("0", "1", "-1", "0.1", "60", "86400", "1e308", "'NaN'", "'Infinity'", "'-Infinity'", "1e-300")
  when "timestamp with time zone" then pick("now()", "(now() - interval '1 hour')", "(now() + interval '1 hour')", "'infinity'", "'-infinity'", "'4713-01-01 BC'", "'294276-01-01'")
  when "uuid" then pick("gen_random_uuid()", "'00000000-0000-0000-0000-000000000000'")
  when "regrole" then pick("'tasker_fuzz_none'", "0::oid", "4294967295::oid")
  when "interval" then pick("'1 second'", "'-1 day'", "'178000000 years'")
  when "bytea" then "'\\x00ff'"
  else "NULL"
  end
end

def statement(name, arguments)
  given = arguments.reject { |_, need, _| need == "optional" && RANDOM.rand < 0.5 }
  "SELECT * FROM tasker.#{name}(#{given.map { |argument, _, type| "#{ADMIN.quote_ident(argument)} => #{literal(type)}::#{type}" }.join(", ")})"
end

# Now and then what is really claimed, so that the verbs of workers get further than their first check.
def refresh_claims(session)
  row = session.exec("SELECT workflow_step_id, claim_token FROM tasker.claim_steps('fuzz_worker', 1, '{fuzz}')").values[0] or return
  $token = row[1].to_i
  verb = pick("complete_step(#{row[0]}, #{row[1]}, #{literal("jsonb")}::jsonb)", "fail_step(#{row[0]}, #{row[1]}, #{literal("jsonb")}::jsonb, #{pick("true", "false")})",
              "checkpoint_step(#{row[0]}, #{row[1]}, #{literal("jsonb")}::jsonb, #{pick("true", "false")})", "release_steps('{#{row[0]}}', '{#{row[1]}}')")
  ["SELECT * FROM tasker.#{verb}", *(["SELECT * FROM tasker.create_task('graph', namespace => 'fuzz')"] if RANDOM.rand < 0.5)]
end

calls = Hash.new(0)
states = Hash.new(0)
bad = []
deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + options[:seconds]
total = 0
until options[:calls] ? total >= options[:calls] : Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline && calls.size == FUNCTIONS.size
  who = pick("admin", "admin", "some", "some", "none")
  session = SESSIONS[who]
  name, arguments = FUNCTIONS[RANDOM.rand(FUNCTIONS.size)]
  list = [statement(name, arguments)]
  list.concat(refresh_claims(session) || []) if who != "none" && RANDOM.rand < 0.1
  list.each do |sql|
    state, message = outcome(session, sql)
    total += 1
    calls[name] += 1
    states[state] += 1
    bad << "#{who}: #{sql[0, 2000]}\n#{state} #{message[0, 500]}" unless state.match?(EXPECTED)
  end
  break if bad.size > 20 || session.status != PG::CONNECTION_OK
end

puts "# seed #{options[:seed]}, #{total} calls of #{calls.size} functions; #{states.sort_by { |_, n| -n }.first(12).map { |s, n| "#{s} #{n}" }.join(", ")}"
TAP.ok(SESSIONS.each_value.all? { |session| session.status == PG::CONNECTION_OK && session.exec("SELECT 1").ntuples == 1 }, "every connection lives (seed #{options[:seed]})", bad.last)
TAP.ok(bad.empty?, "no internal and no unexpected error in #{total} calls (seed #{options[:seed]})", *bad.first(5))
TAP.ok(calls.size == FUNCTIONS.size, "every function was called", (FUNCTIONS.map(&:first) - calls.keys).inspect)
TAP.ok(states["00000"] > total / 50, "some calls succeeded", states.inspect)
ADMIN.exec("SET statement_timeout = 0; SET lock_timeout = 0")
violations = ADMIN.exec("SELECT * FROM tasker.verify_all(NULL)").values
TAP.ok(violations.empty?, "verify_all() finds nothing (seed #{options[:seed]})", violations.first(5).inspect)
SESSIONS.each_value { |session| session.close unless session == ADMIN }
ADMIN.exec("DROP EXTENSION tasker_core CASCADE")
drop_roles
TAP.done
