# frozen_string_literal: true

# Attempts to do what one may not. Prints TAP: each attempt has to be refused with the
# expected SQLSTATE, and nothing that belongs to the extension may have changed.
#
#   ruby tests/attack/attack.rb    with TASKER_TEST_URL naming a database of its own, as superuser
#
# outsider: has USAGE and EXECUTE on everything, given by hand, and no access.
# tenant:   producer, worker and operator of the namespace own. The other one is victim.

require_relative "support"

TAP = Tap.new
ADMIN = connect_as(nil)
ROLES = %w[tasker_attack_outsider tasker_attack_tenant].freeze
OUTSIDER, TENANT = ROLES
PERMISSION = /\A42501\z/
UNKNOWN = /\ATC00[123]\z/

def admin(sql, *parameters) = ADMIN.exec_params(sql, parameters)
def value(sql, *parameters) = admin(sql, *parameters).getvalue(0, 0)

def drop_roles
  ROLES.each do |role|
    next if admin("SELECT FROM pg_roles WHERE rolname = $1", role).ntuples.zero?

    ADMIN.exec("DROP OWNED BY #{role} CASCADE; DROP ROLE #{role}")
  end
end

ADMIN.exec("DROP EXTENSION IF EXISTS tasker_core CASCADE; CREATE EXTENSION tasker_core; DROP SCHEMA IF EXISTS evil CASCADE")
drop_roles
ROLES.each { |role| ADMIN.exec("CREATE ROLE #{role} LOGIN; GRANT CREATE ON DATABASE #{ADMIN.quote_ident(ADMIN.db)} TO #{role}") }
ADMIN.exec("GRANT USAGE ON SCHEMA tasker TO #{OUTSIDER}; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA tasker TO #{OUTSIDER}")
%w[producer worker operator].each { |access| admin("SELECT tasker.grant_access($1, $2, '{own}')", TENANT, access) }
STEPS = '[{"name": "a"}, {"name": "b", "depends_on": ["a"]}]'
%w[own victim].each { |ns| admin("SELECT tasker.register_task_template($1)", %({"name": "pair", "namespace": "#{ns}", "steps": #{STEPS}})) }
VICTIM = value("SELECT task_id FROM tasker.create_task('pair', '{\"secret\": \"s3cret\"}', 'victim')").to_i
OWN = value("SELECT task_id FROM tasker.create_task('pair', namespace => 'own')").to_i
VICTIM_STEP, VICTIM_TOKEN = admin("SELECT workflow_step_id, claim_token FROM tasker.claim_steps('v', task_id => $1)", VICTIM).values[0].map(&:to_i)
OWN_STEP, OWN_TOKEN = admin("SELECT workflow_step_id, claim_token FROM tasker.claim_steps('o', task_id => $1)", OWN).values[0].map(&:to_i)
DEAD_LETTER = value("SELECT tasker.create_dead_letter($1)", VICTIM).to_i
FINGERPRINT = Fingerprint.new(ADMIN)
SESSIONS = ROLES.to_h { |role| [role, connect_as(role)] }

# An attempt is refused, changes nothing, and leaves the attacker who he was.
def refuse(role, name, expected, sql)
  before = FINGERPRINT.take
  state, message = outcome(SESSIONS[role], sql)
  same = FINGERPRINT.take == before
  who = SESSIONS[role].exec("SELECT current_user, session_user").values[0]
  leaked = message.include?("s3cret")
  TAP.ok(state.match?(expected) && same && who == [role, role] && !leaked, "#{role.split("_").last}: #{name}",
         "SQLSTATE #{state}, expected #{expected.inspect}", message, ("something changed" unless same), who.inspect)
end

# ---- calls without access: every function that takes one ---------------------

# A plausible value for each type, so that it is the access that is refused.
SAMPLES = {
  "bigint" => VICTIM.to_s, "integer" => "1", "text" => "'pair'", "jsonb" => "'{}'", "boolean" => "true",
  "double precision" => "1", "timestamp with time zone" => "clock_timestamp()", "uuid" => "gen_random_uuid()",
  "regrole" => "'#{OUTSIDER}'", "bigint[]" => "'{#{VICTIM}}'", "integer[]" => "'{0}'", "text[]" => "'{victim}'",
  "jsonb[]" => "'{1}'", "regprocedure" => "'pg_catalog.now()'", "interval" => "'1 s'"
}.freeze
BY_NAME = { "workflow_step_id" => VICTIM_STEP.to_s, "workflow_step_ids" => "'{#{VICTIM_STEP}}'", "claim_token" => VICTIM_TOKEN.to_s,
            "claim_tokens" => "'{#{VICTIM_TOKEN}}'", "namespace" => "'victim'", "dead_letter_id" => DEAD_LETTER.to_s,
            "to_state" => "'cancelled'", "resolution" => "'cancelled'", "access" => "'admin'", "after" => "NULL",
            "template" => %('{"name": "x", "namespace": "victim", "steps": [{"name": "a"}]}'), "requests" => %('[{"name": "pair", "namespace": "victim"}]'),
            "format" => "'text'", "event_name" => "'a.b'", "expected_state" => "NULL" }.freeze

FUNCTIONS = admin(<<~SQL).to_a
  SELECT p.oid::regprocedure::text AS name, p.proname AS short, f.accesses::text AS accesses, f.namespaces,
    (SELECT coalesce(string_agg(a.name || ' ' || format_type(a.type, NULL), '|' ORDER BY a.position), '')
     FROM unnest(p.proargnames, coalesce(p.proallargtypes, p.proargtypes::oid[]), p.proargmodes) WITH ORDINALITY a (name, type, mode, position)
     WHERE a.position <= p.pronargs) AS arguments
  FROM pg_proc p JOIN tasker.function_access() f ON f.function_name = p.proname
  WHERE p.pronamespace = 'tasker'::regnamespace ORDER BY 1
SQL

def call(function)
  arguments = function["arguments"].split("|").map { |argument| argument.split(" ", 2) }
  list = arguments.map do |name, type|
    sample = BY_NAME[name] || SAMPLES[type]
    sample = "'{\"a\": 1}'" if name == "context"
    sample = "NULL" if name == "results" && function["short"] == "transition_step"
    "#{ADMIN.quote_ident(name)} => #{sample || "NULL"}::#{type}"
  end
  "SELECT * FROM tasker.#{function["short"]}(#{list.join(", ")})"
end

# Defaults of columns count in the caller's own transaction alone.
COMPUTE_ONLY = %w[event_xact event_seq].freeze
FUNCTIONS.reject { |f| COMPUTE_ONLY.include?(f["short"]) || f["namespaces"] == "none" && f["accesses"].include?("producer") }
         .each { |f| refuse(OUTSIDER, f["name"], PERMISSION, call(f)) }

# ---- calls into the namespace of another --------------------------------------

FUNCTIONS.select { |f| %w[by_task by_step].include?(f["namespaces"]) && f["accesses"] =~ /producer|worker|operator/ }
         .each { |f| refuse(TENANT, "#{f["name"]} elsewhere", UNKNOWN, call(f)) }
FUNCTIONS.select { |f| f["namespaces"] == "all" && f["accesses"] =~ /operator|reader/ }
         .each { |f| refuse(TENANT, "#{f["name"]} of all", PERMISSION, call(f)) }

{
  "create a task" => [PERMISSION, "SELECT tasker.create_task('pair', namespace => 'victim')"],
  "create one among his own" => [PERMISSION, %(SELECT tasker.create_tasks('[{"name": "pair", "namespace": "own"}, {"name": "pair", "namespace": "victim"}]'))],
  "create by an ad-hoc definition" => [PERMISSION, %(SELECT tasker.create_task_from_definition('{"name": "x", "namespace": "victim", "steps": [{"name": "a"}]}'))],
  "register a template" => [PERMISSION, %(SELECT tasker.register_task_template('{"name": "x", "namespace": "victim", "steps": [{"name": "a"}]}'))],
  "register by the other dialect" => [PERMISSION, %(SELECT tasker.register_task_template('{"name": "x", "namespace_name": "victim", "step_templates": [{"name": "a"}]}'))],
  "read a template" => [UNKNOWN, "SELECT tasker.get_task_template('pair', 'victim')"],
  "draw a template" => [UNKNOWN, "SELECT tasker.template_graph('pair', 'victim')"],
  "report of it" => [PERMISSION, "SELECT tasker.get_slowest_tasks(namespace => 'victim')"],
  "close a dead letter" => [/\A22023\z/, "SELECT tasker.resolve_dead_letter(#{DEAD_LETTER}, 'cancelled')"],
  "publish an event of its task" => [UNKNOWN, "SELECT tasker.publish_event('a.b', '{}', #{VICTIM})"],
  "publish an event of its step" => [UNKNOWN, "SELECT tasker.publish_event('a.b', '{}', workflow_step_id => #{VICTIM_STEP})"],
  "publish to nobody in particular" => [PERMISSION, "SELECT tasker.publish_event('a.b', '{\"smuggled\": 1}')"],
  "complete with the right token" => [UNKNOWN, "SELECT tasker.complete_step(#{VICTIM_STEP}, #{VICTIM_TOKEN}, '1')"],
  "fail with the right token" => [UNKNOWN, "SELECT tasker.fail_step(#{VICTIM_STEP}, #{VICTIM_TOKEN}, '1')"],
  "checkpoint with the right token" => [UNKNOWN, "SELECT tasker.checkpoint_step(#{VICTIM_STEP}, #{VICTIM_TOKEN}, '1', true)"],
  "grant himself access" => [PERMISSION, "SELECT tasker.grant_access('#{TENANT}', 'admin')"],
  "grant himself the other namespace" => [PERMISSION, "SELECT tasker.grant_access('#{TENANT}', 'worker', '{victim}')"],
  "take another's access" => [PERMISSION, "SELECT tasker.revoke_access('#{TENANT}', 'worker')"]
}.each { |name, (expected, sql)| refuse(TENANT, name, expected, sql) }

# What has no error but no effect either: the answer leaves the other namespace out.
{
  "complete in a batch" => ["SELECT status FROM tasker.complete_steps('{#{VICTIM_STEP}}', '{#{VICTIM_TOKEN}}', '{1}')", [["not_found"]]],
  "complete and claim" => ["SELECT status FROM tasker.complete_and_claim('{#{VICTIM_STEP}}', '{#{VICTIM_TOKEN}}', '{1}', 'w', 1, '{victim}')", [["not_found"]]],
  "heartbeat" => ["SELECT * FROM tasker.heartbeat('w', '{#{VICTIM_STEP}}', '{#{VICTIM_TOKEN}}')", [[VICTIM_STEP.to_s]]],
  "release" => ["SELECT tasker.release_steps('{#{VICTIM_STEP}}', '{#{VICTIM_TOKEN}}')", [["0"]]],
  "claim" => ["SELECT workflow_step_id FROM tasker.claim_steps('w', 10, '{victim}')", []],
  "claim by name" => ["SELECT workflow_step_id FROM tasker.claim_steps('w', 10, task_names => '{victim/pair}')", []],
  "claim by task" => ["SELECT workflow_step_id FROM tasker.claim_steps('w', 10, task_id => #{VICTIM})", []],
  "list" => ["SELECT task_id FROM tasker.list_tasks('{\"namespace\": \"victim\"}')", []],
  "readiness" => ["SELECT name FROM tasker.get_step_readiness_status(#{VICTIM})", []],
  "readiness in a batch" => ["SELECT name FROM tasker.get_step_readiness_status_batch('{#{VICTIM}}')", []],
  "context" => ["SELECT status FROM tasker.get_task_execution_context(#{VICTIM})", []],
  "levels" => ["SELECT * FROM tasker.calculate_dependency_levels(#{VICTIM})", []],
  "events" => ["SELECT task_id FROM tasker.read_events(NULL, 10000) WHERE task_id = #{VICTIM}", []],
  "view of steps" => ["SELECT name FROM tasker.workflow_steps WHERE task_id = #{VICTIM}", []],
  "view of edges" => ["SELECT to_name FROM tasker.workflow_step_edges WHERE task_id = #{VICTIM}", []],
  "view of the graph" => ["SELECT name FROM tasker.step_dag_relationships WHERE task_id = #{VICTIM}", []],
  "view of history" => ["SELECT name FROM tasker.workflow_step_transitions WHERE task_id = #{VICTIM}", []],
  "templates" => ["SELECT name FROM tasker.list_task_templates('victim')", []]
}.each do |name, (sql, answer)|
  before = FINGERPRINT.take
  got = SESSIONS[TENANT].exec(sql).values
  TAP.ok(got == answer && FINGERPRINT.take == before, "tenant: #{name} shows nothing of the other namespace", got.inspect)
end

# ---- tables, sequences, the schema ---------------------------------------------

TABLES = admin("SELECT relname FROM pg_class WHERE relnamespace = 'tasker'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1").column_values(0)
ON_TABLES = ["SELECT * FROM %s", "INSERT INTO %s DEFAULT VALUES", "DELETE FROM %s", "TRUNCATE %s CASCADE", "BEGIN; LOCK TABLE %s",
             "COPY %s TO STDOUT", "ALTER TABLE %s DISABLE ROW LEVEL SECURITY",
             "CREATE TRIGGER t BEFORE INSERT ON %s FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
             "CREATE RULE r AS ON INSERT TO %s DO INSTEAD NOTHING", "CREATE POLICY p ON %s USING (true)",
             "CREATE INDEX ON %s ((1))", "GRANT SELECT ON %s TO PUBLIC", "ALTER TABLE %s OWNER TO CURRENT_USER",
             "COMMENT ON TABLE %s IS 'mine'", "DROP TABLE %s CASCADE", "ANALYZE VERBOSE %s"].freeze
TABLES.each_with_index do |table, i|
  # all commands for the tables that matter most, and some for each other
  chosen = %w[tasks step_queue step_attempts access_grants].include?(table) ? ON_TABLES : ON_TABLES.rotate(i).first(3) | ON_TABLES.first(1)
  chosen.each do |command|
    next if command.start_with?("ANALYZE")   # skips what one may not, with a warning

    refuse(i.even? ? TENANT : OUTSIDER, format(command, table), PERMISSION, format(command, "tasker.#{table}"))
  end
end
refuse(TENANT, "reference a table", PERMISSION,
       "CREATE SCHEMA evil_reference; CREATE TABLE evil_reference.t (task_id bigint, shard_key int, FOREIGN KEY (task_id, shard_key) REFERENCES tasker.tasks)")
refuse(TENANT, "inherit a table", PERMISSION, "CREATE TEMP TABLE heir () INHERITS (tasker.tasks)")
refuse(TENANT, "update through a view", /\A55000\z/, "UPDATE tasker.workflow_steps SET state = 'complete'")
refuse(TENANT, "a trigger on a view", PERMISSION,
       "CREATE TRIGGER t INSTEAD OF UPDATE ON tasker.workflow_steps FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()")
refuse(TENANT, "replace a view", PERMISSION, "CREATE OR REPLACE VIEW tasker.workflow_steps AS SELECT 1 AS task_id")
refuse(TENANT, "unlock a view", PERMISSION, "ALTER VIEW tasker.workflow_steps SET (security_barrier = false)")
["SELECT nextval('tasker.task_id_seq')", "SELECT setval('tasker.task_id_seq', 1)", "SELECT last_value FROM tasker.task_id_seq",
 "ALTER SEQUENCE tasker.task_id_seq RESTART", "CREATE TABLE tasker.mine ()", "CREATE FUNCTION tasker.mine() RETURNS int LANGUAGE sql RETURN 1",
 "CREATE FUNCTION tasker.create_task(text) RETURNS int LANGUAGE sql RETURN 1", "CREATE VIEW tasker.mine AS SELECT 1",
 "CREATE OPERATOR tasker.= (FUNCTION = pg_catalog.int8eq, LEFTARG = bigint, RIGHTARG = bigint)", "CREATE TYPE tasker.mine AS (a int)",
 "CREATE OR REPLACE FUNCTION tasker.library_version() RETURNS text LANGUAGE sql RETURN 'evil'",
 "ALTER FUNCTION tasker.library_version() SET search_path = public", "ALTER FUNCTION tasker.library_version() OWNER TO CURRENT_USER",
 "ALTER FUNCTION tasker.library_version() SECURITY DEFINER", "DROP FUNCTION tasker.library_version()",

 "REVOKE ALL ON SCHEMA tasker FROM CURRENT_USER CASCADE; SET ROLE postgres", "ALTER SCHEMA tasker RENAME TO mine", "DROP SCHEMA tasker CASCADE",
 "COMMENT ON SCHEMA tasker IS 'mine'", "DROP EXTENSION tasker_core CASCADE", "ALTER EXTENSION tasker_core ADD SCHEMA public",
 "ALTER EXTENSION tasker_core DROP FUNCTION tasker.library_version()", "ALTER EXTENSION tasker_core SET SCHEMA public",
 "CREATE FUNCTION pg_temp.raw() RETURNS text AS 'tasker_core', 'tasker_library_version' LANGUAGE C",
 "LOAD '/tmp/tasker_core.so'",
 "CREATE CAST (text AS jsonb) WITHOUT FUNCTION", "CREATE CAST (bigint AS text) WITH INOUT AS IMPLICIT",
 "CREATE EVENT TRIGGER t ON ddl_command_end EXECUTE FUNCTION pg_catalog.now()",
 "ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT ALL ON TABLES TO PUBLIC"].each_with_index do |sql, i|
  refuse(i.even? ? TENANT : OUTSIDER, sql, /\A(42501|0A000|42P13|55000|42809|42P17|2BP01|42601|42883)\z/, sql)
end

# a warning, and nothing granted
["GRANT USAGE ON SCHEMA tasker TO PUBLIC", "GRANT EXECUTE ON FUNCTION tasker.claim_steps TO PUBLIC",
 "GRANT EXECUTE ON FUNCTION tasker.claim_steps TO pg_monitor WITH GRANT OPTION",
 "REVOKE ALL ON SCHEMA tasker FROM CURRENT_USER"].each { |sql| refuse(TENANT, sql, /\A(00000|42501)\z/, sql) }

# ---- roles and settings -----------------------------------------------------------

OWNER = value("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'tasker.tasks'::regclass")
["SET ROLE #{ADMIN.quote_ident(OWNER)}", "SET SESSION AUTHORIZATION #{ADMIN.quote_ident(OWNER)}", "ALTER ROLE CURRENT_USER SUPERUSER",
 "GRANT #{ADMIN.quote_ident(OWNER)} TO CURRENT_USER", "SET tasker_core.clock_offset = 1000000", "SET tasker_core.max_payload_size = '1GB'",
 "SET tasker_core.max_retry_after = 31536000", "SET tasker_core.notify = 'steps'", "SET session_replication_role = replica",
 "SET session_preload_libraries = 'evil'", "ALTER DATABASE #{ADMIN.quote_ident(ADMIN.db)} SET tasker_core.clock_offset = 1000000",
 "ALTER SYSTEM SET tasker_core.notify = 'steps'", "SELECT set_config('tasker_core.clock_offset', '1000000', false)",
 "SET tasker_core.no_such_setting = 1"].each { |sql| refuse(TENANT, sql, /\A(42501|0A000|42602|42704|0LP01)\z/, sql) }

# ---- input ------------------------------------------------------------------------

INPUT = /\A(22\w{3}|TC0\d\d|54\w{3}|42804|42883|53\w{3})\z/
deep = "[" * 10_000 + "]" * 10_000
nested_object = '{"a":' * 5_000 + "1" + "}" * 5_000
quote = ->(text) { ADMIN.escape_literal(text) }
template = ->(name) { "SELECT tasker.register_task_template(jsonb_build_object('name', #{name}, 'namespace', 'own', 'steps', '[{\"name\": \"a\"}]'::jsonb))" }
{
  "a template 10,000 levels deep" => "SELECT tasker.register_task_template('{\"name\": \"d\", \"namespace\": \"own\", \"metadata\": #{deep}, \"steps\": [{\"name\": \"a\"}]}')",
  "objects 5,000 levels deep in a template" => "SELECT tasker.register_task_template('{\"name\": \"d\", \"namespace\": \"own\", \"metadata\": #{nested_object}, \"steps\": [{\"name\": \"a\"}]}')",
  "a context of 17 MB" => "SELECT tasker.create_task('pair', jsonb_build_object('a', repeat('x', 17 << 20)), 'own')",
  "a result of 17 MB" => "SELECT tasker.complete_step(#{OWN_STEP}, #{OWN_TOKEN}, to_jsonb(repeat('x', 17 << 20)))",
  "an error of 17 MB" => "SELECT tasker.fail_step(#{OWN_STEP}, #{OWN_TOKEN}, to_jsonb(repeat('x', 17 << 20)))",
  "a checkpoint of 17 MB" => "SELECT tasker.checkpoint_step(#{OWN_STEP}, #{OWN_TOKEN}, to_jsonb(repeat('x', 17 << 20)))",
  "a payload of 17 MB" => "SELECT tasker.publish_event('a.b', jsonb_build_object('a', repeat('x', 17 << 20)), #{OWN})",
  "NaN in JSON" => "SELECT tasker.create_task('pair', '{\"a\": NaN}', 'own')",
  "a context that is no object" => "SELECT tasker.create_task('pair', '[1]', 'own')",
  "a name with a newline" => template.(quote.("a\nb")), "a name of 129 characters" => template.(quote.("a" * 129)),
  "an empty name" => template.("''"), "a name with an escape" => template.("E'a\\u001bb'"), "a name with @" => template.("'a@b'"),
  "a name that begins with a space" => template.("' a'"), "a namespace with a slash" => "SELECT tasker.register_task_template('{\"name\": \"a\", \"namespace\": \"own/x\", \"steps\": [{\"name\": \"a\"}]}')",
  "an infinite run_at" => "SELECT tasker.create_task('pair', namespace => 'own', run_at => 'infinity')",
  "an infinite lease" => "SELECT tasker.claim_steps('w', lease_seconds => 'Infinity')",
  "a lease that is no number" => "SELECT tasker.claim_steps('w', lease_seconds => 'NaN')", "a negative lease" => "SELECT tasker.claim_steps('w', lease_seconds => -1)",
  "a worker without a name" => "SELECT tasker.claim_steps('')", "10,001 steps" => "SELECT tasker.claim_steps('w', 10001)",
  "steps below none" => "SELECT tasker.claim_steps('w', -1)", "a shard below 0" => "SELECT tasker.claim_steps('w', shard_keys => '{-1}')",
  "the largest id" => "SELECT tasker.complete_step(9223372036854775807, 1, '1')", "the smallest id" => "SELECT tasker.complete_step(-9223372036854775808, 1, '1')",
  "an id that no type holds" => "SELECT tasker.cancel_task(99999999999999999999::numeric::bigint)", "task 0" => "SELECT tasker.cancel_task(0)",
  "a negative task" => "SELECT tasker.get_task(-1)", "step number 0" => "SELECT tasker.skip_step(#{OWN} * 1000000::bigint)",
  "a step beyond the template" => "SELECT tasker.skip_step(#{OWN} * 1000000::bigint + 999999)",
  "a forged token" => "SELECT tasker.complete_step(#{OWN_STEP}, #{OWN_TOKEN + 1}, '1')", "token 0" => "SELECT tasker.complete_step(#{OWN_STEP}, 0, '1')",
  "the token of another step" => "SELECT tasker.complete_step(#{OWN_STEP}, #{VICTIM_TOKEN}, '1')", "a negative token" => "SELECT tasker.fail_step(#{OWN_STEP}, -1, '1')",
  "a null among ids" => "SELECT tasker.complete_steps('{#{OWN_STEP},NULL}', '{1,2}', '{1,2}')", "a null among results" => "SELECT tasker.complete_steps('{#{OWN_STEP}}', '{1}', '{NULL}')",
  "arrays of unequal length" => "SELECT tasker.complete_steps('{#{OWN_STEP}}', '{1,2}', '{1}')", "two dimensions" => "SELECT tasker.complete_steps('{{#{OWN_STEP}}}', '{{1}}', '{{1}}')",
  "an id twice" => "SELECT tasker.complete_steps('{#{OWN_STEP},#{OWN_STEP}}', '{1,1}', '{1,1}')", "a batch of 10,001" => "SELECT tasker.complete_steps(array_agg(i), array_agg(i), array_agg('1'::jsonb)) FROM generate_series(1, 10001) i",
  "an unknown key" => "SELECT tasker.create_tasks('[{\"name\": \"pair\", \"namespace\": \"own\", \"created_by\": \"postgres\"}]')",
  "10,001 tasks" => "SELECT tasker.create_tasks(jsonb_agg('{\"name\": \"pair\", \"namespace\": \"own\"}'::jsonb)) FROM generate_series(1, 10001)",
  "a cycle" => "SELECT tasker.register_task_template('{\"name\": \"c\", \"namespace\": \"own\", \"steps\": [{\"name\": \"a\", \"depends_on\": [\"b\"]}, {\"name\": \"b\", \"depends_on\": [\"a\"]}]}')",
  "other content under a version" => "SELECT tasker.register_task_template('{\"name\": \"pair\", \"namespace\": \"own\", \"steps\": [{\"name\": \"a\"}]}')",
  "a pattern that explodes" => "SELECT tasker.validate_json_schema('{\"pattern\": \"(a+)+$(\"}', '\"aaaa\"')",
  "a schema that refers to itself" => "SELECT * FROM tasker.validate_json_schema('{\"$ref\": \"#\"}', '1')",
  "a reference to a file" => "SELECT tasker.validate_json_schema('{\"$ref\": \"file:///etc/passwd\"}', '1')",
  "an event named as ours" => "SELECT tasker.publish_event('task.completed', '{}', #{OWN})", "an event with a wildcard" => "SELECT tasker.publish_event('*', '{}', #{OWN})",
  "an event name with a quote" => "SELECT tasker.publish_event('a\"b', '{}', #{OWN})", "an event name of 101 bytes" => "SELECT tasker.publish_event(repeat('a', 101), '{}', #{OWN})",
  "an event of a step of another task" => "SELECT tasker.publish_event('a.b', '{}', #{OWN}, #{VICTIM_STEP})", "a cursor of somebody" => "SELECT * FROM tasker.read_events('''; DROP TABLE tasker.tasks; --')",
  "a cursor ahead" => "SELECT * FROM tasker.read_events('1-9223372036854775807-0-0')", "an unknown filter" => "SELECT * FROM tasker.list_tasks('{\"1=1; --\": \"x\"}')",
  "a filter that is no text" => "SELECT * FROM tasker.list_tasks('{\"namespace\": {\"a\": 1}}')", "an unknown format" => "SELECT tasker.task_graph(#{OWN}, '; DROP')",
  "a state that is none" => "SELECT tasker.transition_task(#{OWN}, 'done''; --')", "a state of steps for a task" => "SELECT tasker.transition_task(#{OWN}, 'skipped')",
  "complete by hand" => "SELECT tasker.transition_task(#{OWN}, 'complete')", "results for a skipped step" => "SELECT tasker.transition_step(#{OWN_STEP}, 'skipped', results => '1')",
  "backoff beyond all bounds" => "SELECT tasker.calculate_backoff('exponential', -2147483648)", "jitter that is no number" => "SELECT tasker.calculate_backoff('linear', 1, jitter => 'NaN')"
}.each { |name, sql| refuse(TENANT, name, INPUT, sql) }

# ---- what names resolve to ---------------------------------------------------------

# The attacker owns a schema in front of everything, and pg_temp: functions, operators,
# tables and types of the names that ours use. Each of them tells when it runs.
evil = SESSIONS[TENANT]
evil.exec(<<~SQL)
  CREATE SCHEMA evil;
  CREATE TABLE evil.told (what text);
  CREATE FUNCTION evil.tell(what text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO evil.told VALUES (what || ' as ' || current_user); RETURN true; END $$;
SQL
%w[clock_timestamp now transaction_timestamp gen_random_uuid pg_current_xact_id].each do |name|
  evil.exec("CREATE FUNCTION evil.#{name}() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.tell('#{name}'); RETURN NULL; END $$")
end
%w[jsonb_build_object coalesce_all jsonb_to_record array_agg cardinality unnest string_agg concat_ws].each do |name|
  evil.exec("CREATE FUNCTION evil.#{name}(VARIADIC x text[]) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.tell('#{name}'); RETURN NULL; END $$")
end
{ "=" => "bigint", ">" => "int", "<" => "bigint", "+" => "bigint", "%" => "bigint", "*" => "bigint", "||" => "text" }.each_with_index do |(operator, type), i|
  result = %w[+ % * ||].include?(operator) ? type : "boolean"
  evil.exec("CREATE FUNCTION evil.op#{i}(a #{type}, b #{type}) RETURNS #{result} LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.tell('operator #{operator}'); RETURN #{result == "boolean" ? "true" : "a"}; END $$;
             CREATE OPERATOR evil.#{operator} (FUNCTION = evil.op#{i}, LEFTARG = #{type}, RIGHTARG = #{type})")
end
%w[tasks step_queue named_tasks task_namespaces settings access_grants lanes pg_class pg_extension pg_roles].each do |name|
  evil.exec("CREATE TEMP TABLE #{name} (task_id bigint, value text, name text)")
  evil.exec("CREATE TABLE evil.#{name} (task_id bigint, value text, name text)")
end
%w[jsonb text timestamptz].each { |type| evil.exec("CREATE DOMAIN evil.#{type} AS int CHECK (evil.tell('type #{type}'))") }

["evil, pg_temp, tasker, pg_catalog, public", "pg_temp, evil, pg_catalog", "", '"$user", evil'].each do |path|
  admin("TRUNCATE evil.told")
  evil.exec("SELECT pg_catalog.set_config('search_path', #{evil.escape_literal(path)}, false)")
  task = evil.exec("SELECT task_id FROM tasker.create_task('pair', namespace OPERATOR(pg_catalog.||) '' => 'own')").getvalue(0, 0) rescue nil
  task ||= evil.exec("SELECT task_id FROM tasker.create_task(name => 'pair'::pg_catalog.text, namespace => 'own'::pg_catalog.text)").getvalue(0, 0)
  2.times do
    step, token = evil.exec("SELECT workflow_step_id, claim_token FROM tasker.claim_steps('w'::pg_catalog.text, task_id => #{task}::pg_catalog.int8)").values[0]
    evil.exec("SELECT tasker.complete_step(#{step}::pg_catalog.int8, #{token}::pg_catalog.int8, '1'::pg_catalog.jsonb)")
  end
  ["tasker.get_task(#{task})", "tasker.list_tasks()", "tasker.read_events()", "tasker.get_step_readiness_status(#{task})", "tasker.verify_task(#{task})",
   "tasker.task_graph(#{task})", "tasker.get_slowest_tasks(namespace => 'own')", "tasker.explain_step(#{task}::pg_catalog.int8 OPERATOR(pg_catalog.*) 1000000::pg_catalog.int8 OPERATOR(pg_catalog.+) 1)"].each do |question|
    evil.exec("SELECT pg_catalog.count(*) FROM #{question}")
  end
  evil.exec("SELECT pg_catalog.count(*) FROM tasker.workflow_steps")
  evil.exec("SELECT pg_catalog.set_config('search_path', 'pg_catalog', false)")
  told = admin("SELECT DISTINCT what FROM evil.told").column_values(0)
  state = admin("SELECT state FROM tasker.tasks WHERE task_id = $1", task).getvalue(0, 0)
  TAP.ok(told.empty? && state == "complete", "tenant: nothing planted in search_path \"#{path}\" is run", told.inspect, state)
end

# The rights of others: a definer's function gives its owner's, and nothing stays behind.
evil.exec("CREATE FUNCTION evil.definer() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN PERFORM tasker.get_task(#{VICTIM}); RETURN current_user; END $$")
refuse(TENANT, "a definer's function of one's own", UNKNOWN, "SELECT evil.definer()")
refuse(TENANT, "a block that catches the refusal", PERMISSION,
       "DO $$ BEGIN BEGIN PERFORM tasker.get_task(#{VICTIM}); EXCEPTION WHEN OTHERS THEN NULL; END; PERFORM count(*) FROM tasker.tasks; END $$")
refuse(TENANT, "a prepared statement after the refusal", PERMISSION, "PREPARE p AS SELECT count(*) FROM tasker.step_queue; EXECUTE p")
refuse(TENANT, "a cursor on a table", PERMISSION, "BEGIN; DECLARE c CURSOR FOR SELECT * FROM tasker.tasks; FETCH c")
refuse(TENANT, "a cursor that is left open over a refusal", PERMISSION, "BEGIN; DECLARE c CURSOR FOR SELECT * FROM tasker.list_tasks(); FETCH c; SELECT * FROM tasker.tasks")
evil.exec("CREATE FUNCTION evil.peep(x jsonb) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN IF x::pg_catalog.text LIKE '%s3cret%' THEN INSERT INTO evil.told VALUES ('saw it'); END IF; RETURN true; END $$") rescue TAP.ok(false, "peep")
admin("TRUNCATE evil.told")
admin("SELECT status FROM tasker.complete_step($1, $2, '{\"secret\": \"s3cret\"}')", VICTIM_STEP, VICTIM_TOKEN)
evil.exec("SELECT count(*) FROM tasker.workflow_steps WHERE evil.peep(results)")
TAP.ok(value("SELECT count(*) FROM evil.told") == "0", "tenant: a cheap condition sees no row that the view hides")

# Who did it is what the server knows.
task = SESSIONS[TENANT].exec("SELECT task_id FROM tasker.create_task('pair', namespace => 'own', initiator => 'postgres', source_system => 'postgres')").getvalue(0, 0)
TAP.ok(value("SELECT created_by FROM tasker.tasks WHERE task_id = $1", task) == TENANT, "history has the role that did it, not the one it named")

violations = admin("SELECT * FROM tasker.verify_all(NULL)").values
TAP.ok(violations.empty?, "verify_all() finds nothing", violations.inspect)
SESSIONS.each_value(&:close)
ADMIN.exec("DROP SCHEMA evil CASCADE; DROP EXTENSION tasker_core CASCADE")
drop_roles
TAP.done
