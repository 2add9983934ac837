# frozen_string_literal: true

# A standby has no background worker; with the promotion it gets one. Prints TAP.
#
#   TASKER_TEST_SOCKET=directory_of_a_standby ruby tests/background/standby.rb

require_relative "harness"

TESTS = Tests.new
db = connect("background_test")

TESTS.is("a standby is one", db.value("SELECT pg_is_in_recovery()"), "t")
TESTS.is("and has no process of tasker_core", db.value("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'tasker_core%'"), "0")
TESTS.ok("questions are answered there", db.value("SELECT count(*) FROM tasker.verify_all()") == "0")
TESTS.is("it is promoted", db.value("SELECT pg_promote(true, 120)"), "t")
TESTS.ok("and has a worker", eventually { db.worker })

listener = connect("background_test")
listener.listen
sends = eventually do
  db.create("work", namespace: "'bg'")
  listener.heard(5) { |channel, payload| channel == "tasker_ready" && payload == "bg" }&.last&.last == db.worker&.fetch("pid").to_i
end
TESTS.ok("which sends", sends)
TESTS.finish
