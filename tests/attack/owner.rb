# frozen_string_literal: true

# The owner of a database, who is no superuser, lives the whole life of the extension in it:
# installs, grants, works, dumps, restores into another database in one transaction, goes on
# working there, and drops it. Prints TAP.
#
#   ruby tests/attack/owner.rb    with TASKER_TEST_URL naming a database of the server, as superuser

require "open3"
require "tempfile"
require_relative "support"

TAP = Tap.new
ADMIN = connect_as(nil)
OWNER = "tasker_owner_owner"
APP = "tasker_owner_app"
DATABASES = %w[tasker_owner_source tasker_owner_target].freeze
SETTINGS = PG::Connection.conninfo_parse(URL).to_h { |option| [option[:keyword].to_sym, option[:val]] }.compact

def clean
  DATABASES.each { |database| ADMIN.exec("DROP DATABASE IF EXISTS #{database} WITH (FORCE)") }
  [APP, OWNER].each { |role| ADMIN.exec("DROP ROLE IF EXISTS #{role}") }
end

def connect(database, role)
  PG.connect(SETTINGS.merge(dbname: database, user: role)).tap { |connection| connection.set_notice_processor { nil } }
end

def run(*command)
  environment = { "PGHOST" => SETTINGS[:host], "PGPORT" => SETTINGS[:port], "PGUSER" => OWNER, "PGOPTIONS" => "", "PGPASSWORD" => nil }
  Open3.capture2e(environment.compact, *command)
end

def answer(connection, sql, *parameters) = connection.exec_params(sql, parameters).values

clean
ADMIN.exec("CREATE ROLE #{OWNER} LOGIN; CREATE ROLE #{APP} LOGIN")
DATABASES.each { |database| ADMIN.exec("CREATE DATABASE #{database} OWNER #{OWNER}") }
owner = connect(DATABASES[0], OWNER)
owner.exec("CREATE EXTENSION tasker_core")
TAP.ok(answer(owner, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == [["f"]], "the owner is no superuser")
strangers = answer(owner, "SELECT relname FROM pg_class WHERE relnamespace = 'tasker'::regnamespace AND relkind IN ('r', 'p', 'v', 'S') AND relowner <> current_user::regrole")
TAP.ok(strangers.empty?, "he installs it, and owns every relation", strangers.inspect)

owner.exec("SELECT tasker.register_task_template('{\"name\": \"pair\", \"namespace\": \"ours\", \"steps\": [{\"name\": \"a\"}, {\"name\": \"b\", \"depends_on\": [\"a\"]}]}')")
%w[producer worker reader].each { |access| owner.exec("SELECT tasker.grant_access('#{APP}', '#{access}', '{ours}')") }
app = connect(DATABASES[0], APP)
TASK = answer(app, "SELECT task_id FROM tasker.create_task('pair', namespace => 'ours')")[0][0]
done = answer(app, "SELECT status FROM tasker.claim_steps('w') c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1')")
TAP.ok(done == [["completed"]], "a role that he granted access works", done.inspect)
TAP.ok(answer(owner, "SELECT tasker.run_maintenance() IS NOT NULL") == [["t"]], "he runs maintenance")
TAP.ok(answer(owner, "SELECT count(*) FROM tasker.tasks") == [["1"]], "he reads his tables")
app.close

Tempfile.create(["owner", ".sql"]) do |file|
  output, status = run("pg_dump", "-f", file.path, DATABASES[0])
  TAP.ok(status.success?, "he dumps", output)
  output, status = run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "--single-transaction", "-d", DATABASES[1], "-f", file.path)
  TAP.ok(status.success?, "he restores into a database of his, in one transaction", output)
end

restored = connect(DATABASES[1], OWNER)
grants = answer(restored, "SELECT access, namespaces, effective FROM tasker.list_access() ORDER BY 1")
TAP.ok(grants == [["producer", "{ours}", "t"], ["reader", "{ours}", "t"], ["worker", "{ours}", "t"]], "grants came along, with their privileges", grants.inspect)
app = connect(DATABASES[1], APP)
done = answer(app, "SELECT task_id, step_name, task_state FROM tasker.claim_steps('w') c, tasker.complete_step(c.workflow_step_id, c.claim_token, '2') d (t, task_state)")
TAP.ok(done == [[TASK, "b", "complete"]], "the role goes on with the task there", done.inspect)
TAP.ok(answer(app, "SELECT count(*) FROM tasker.workflow_steps WHERE state = 'complete'") == [["2"]], "and sees its steps")
state, = outcome(app, "SELECT tasker.cancel_task(#{TASK})")
TAP.ok(state == "42501", "but may no more than before", state)
TAP.ok(answer(restored, "SELECT * FROM tasker.verify_all(NULL)").empty?, "verify_all() finds nothing")
app.close

restored.exec("DROP EXTENSION tasker_core")
left = answer(restored, "SELECT count(*) FROM pg_namespace WHERE nspname = 'tasker'")
TAP.ok(left == [["0"]], "he drops it, and nothing is left")
restored.exec("CREATE EXTENSION tasker_core")
TAP.ok(answer(restored, "SELECT * FROM tasker.list_access()").empty?, "installed again it knows no grants")
[owner, restored].each(&:close)
clean
TAP.done
