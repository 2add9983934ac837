# frozen_string_literal: true

# A database without a background worker of ours, kept going by pg_cron. Prints TAP.
#
#   TASKER_TEST_SOCKET=directory TASKER_TEST_PG_CTL="pg_ctl -D ..." ruby tests/background/cron.rb
#
# The server has pg_cron in shared_preload_libraries and background_cron_test in cron.database_name.

require_relative "harness"

TESTS = Tests.new
db = connect("background_cron_test")
db.exec("CREATE EXTENSION tasker_core")
db.exec("CREATE EXTENSION pg_cron")
db.exec(%(SELECT tasker.register_task_template('{"name": "once", "steps": [{"name": "s", "retry": {"max_attempts": 1}}]}')))
task = db.create("once")
db.claim(task, 0.1)
# What a crontab would do every minute; @reboot does it when the server starts.
db.exec("SELECT cron.schedule('tasker', '@reboot', 'SELECT tasker.run_maintenance()')")
TESTS.is("a lost last attempt that nobody looks after", db.state(task), "in_progress")

system(*Shellwords.split(ENV.fetch("TASKER_TEST_PG_CTL")), "-m", "fast", "-w", "restart", %i[out err] => File::NULL)
db = connect("background_cron_test")
TESTS.ok("fails for good when pg_cron calls run_maintenance()", eventually { db.state(task) == "error" })
TESTS.is("without a worker of ours", db.worker, nil)
TESTS.finish
