# frozen_string_literal: true

# What does not depend on the machine: row writes, dead tuples, statements per call, blocks per
# claim. A change that makes any of them grow is seen here. Prints TAP.
#
#   TASKER_TEST_URL=postgresql:///a_database ruby tests/counts/run.rb
#
# The server has to preload pg_stat_statements.

require_relative "../../bench/lib/server"
require_relative "../../bench/lib/budgets"

server = Bench::Server.new(ENV.fetch("TASKER_TEST_URL"))
if server.value("SELECT current_setting('shared_preload_libraries')") !~ /pg_stat_statements/
  puts "ok 1 - counts # SKIP the server does not preload pg_stat_statements", "1..1"
  exit
end
server.exec("SET client_min_messages = warning; CREATE EXTENSION tasker_core; CREATE EXTENSION pg_stat_statements; " \
            "SET pg_stat_statements.track = 'all'; SET pg_stat_statements.track_planning = on; SET tasker_core.notify = off")

@count = 0
define_method(:check) do |what, good, seen|
  puts "#{good ? "ok" : "not ok"} #{@count += 1} - #{what}: #{seen}"
end

Bench::Budgets.new(server).row_writes.each do |row|
  check(row.what, row.met, "#{row.measured} (#{row.budget})")
end

# Statements that ran inside of one call, whatever its size; or, of "plans", how many of them were planned.
def statements(server, counter = "calls")
  server.exec("SELECT pg_stat_statements_reset()")
  yield
  server.value("SELECT coalesce(sum(#{counter}), 0) FROM pg_stat_statements WHERE query ~ '\\mtasker\\.' AND query !~ 'pg_stat_statements'").to_i
end

work = Bench::Workload.new(server, "chain-10")
work.create_many(200)
work.work_in_batches
work.create_many(400)
sizes = [10, 50].map do |size|
  claims = nil
  claiming = statements(server) { claims = work.claim(size) }
  completing = statements(server) do
    server.call(Bench::Workload::COMPLETE_MANY, *claims.transpose.map { |ids| "{#{ids.join(",")}}" }, Bench::Workload::RESULT)
  end
  raise "#{claims.size} claims instead of #{size}" unless claims.size == size

  [claiming, completing]
end
small, large = sizes
check("statements of claim_steps, the same for 10 and 50", small[0] == large[0] && large[0].between?(1, 2), "#{small[0]} and #{large[0]}")
check("statements of complete_steps, the same for 10 and 50", small[1] == large[1] && large[1] == 1, "#{small[1]} and #{large[1]}")

one = statements(server) { server.call(Bench::Workload::CREATE, "chain-10") }
check("statements of create_task", one == 1, one)

step, token = work.claim(1).first
one = statements(server) { server.call(Bench::Workload::COMPLETE, step, token, Bench::Workload::RESULT) }
check("statements of complete_step", one == 1, one)

# A session that has done everything before plans nothing any more. Autovacuum may have plans made anew in between.
plans = Array.new(10) do
  statements(server, "plans") do
    work.create(1)
    work.claim(1).each { |claim| server.call(Bench::Workload::COMPLETE, *claim, Bench::Workload::RESULT) }
  end
end
check("statements that a warm session plans", plans.min.zero?, plans.join(", "))

# Tables and indexes that a claim locks: one member of each history table, not all of them.
diamond = Bench::Workload.new(server, "diamond-4")
diamond.create(1)
diamond.claim(1).each { |claim| server.call(Bench::Workload::COMPLETE, *claim, Bench::Workload::RESULT) }
server.exec("BEGIN")
raise "nothing that has a parent" unless diamond.claim(2).size == 2

locks = server.value("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'").to_i
server.exec("COMMIT")
check("tables and indexes that claim_steps locks", locks.between?(5, 10), locks)

# In batches, so that the rows of many tasks share pages.
did = server.counting do
  work.create_many(100)
  work.work_in_batches
end
finished = did.fetch(:steps)
check("row writes per step in batches of 50, chain-10", did[:writes] <= 4.6 * finished, (did[:writes].fdiv(finished)).round(2))
check("dead tuples per step in batches of 50, chain-10", did[:dead] <= 2.5 * finished, (did[:dead].fdiv(finished)).round(2))
check("HOT updates of tasks in batches of 50", did[:hot_task_updates] == did[:task_updates], "#{did[:hot_task_updates]} of #{did[:task_updates]}")

# Blocks of the other verbs, once their plans are there.
one = Bench::Workload.new(server, "one")
creating = Array.new(11) { server.buffers("SELECT * FROM tasker.create_task('one')") }
completing = Array.new(11) do
  step, token = one.claim(1).first
  server.buffers("SELECT * FROM tasker.complete_step(#{step}, #{token}, 'true')")
end
check("blocks of create_task", Bench.median(creating) <= 30, Bench.median(creating))
check("blocks of complete_step, the task's end included", Bench.median(completing) <= 60, Bench.median(completing))
one.work

# A step of many in one task, with a join behind all of them: nothing may look at each.
wide = Bench::Workload.new(server, "wide-1000")
wide.create(1)
wide.claim(1).each { |claim| server.call(Bench::Workload::COMPLETE, *claim, Bench::Workload::RESULT) }
among = Array.new(11) do
  step, token = wide.claim(1).first
  server.buffers("SELECT * FROM tasker.complete_step(#{step}, #{token}, 'true')")
end
check("blocks of complete_step, one of 1,000 parents of a join", Bench.median(among) <= 42, Bench.median(among))
wide.work

# Instances of a map are made, and enter the queue, by one statement each, however many they are.
server.exec("SELECT tasker.register_task_template('{\"name\": \"counts_map\", \"steps\": [{\"name\": \"m\", \"map\": {\"over\": \"context.n\"}}]}')")
made = [10, 10, 10, 10_000].map do |size| # the first ones fill caches
  statements(server) { server.exec("SELECT tasker.create_task('counts_map', jsonb_build_object('n', (SELECT jsonb_agg(i) FROM generate_series(1, #{size}) i)))") }
end
check("statements that make a map's instances, as many for 10 and 10,000", made[2] == made[3] && made[2].between?(1, 3), made.last(2).join(" and "))
task = server.value("SELECT max(task_id) FROM tasker.tasks")
instances = [10, 10, 10, 50].map do |size|
  claims = server.exec("SELECT workflow_step_id, claim_token FROM tasker.claim_steps('counts', #{size}, task_id => #{task})").values
  statements(server) { server.call(Bench::Workload::COMPLETE_MANY, *claims.transpose.map { |ids| "{#{ids.join(",")}}" }, Bench::Workload::RESULT) }
end
check("statements that complete instances, the same for 10 and 50", instances[2] == instances[3] && instances[2].between?(1, 4), instances.last(2).join(" and "))

# Blocks of a claim with little and with much in the queue.
backlog = Bench::Workload.new(server, "one")
blocks = [1_000, 20_000].map do |tasks|
  backlog.create_many(tasks)
  backlog.claim(1)
  Bench.median(Array.new(11) { server.buffers("SELECT * FROM tasker.claim_steps('counts', 1, task_names => '{default/one}')") })
end
check("blocks of claim(1), as many with 20,000 more waiting", blocks.last <= blocks.first + 8, blocks.join(" and "))
check("blocks of claim(1)", blocks.first <= 56, blocks.first)

# What limits keep back is in nobody's way, and one key's tasks do not keep another's waiting.
server.call("SELECT FROM tasker.register_task_template($1)", <<~JSON)
  {"name": "limited", "steps": [{"name": "a", "concurrency": {"key": "context.key", "limit": 1}}]}
JSON
CREATE_LIMITED = <<~SQL
  SELECT count(*) FROM tasker.create_tasks((SELECT jsonb_agg(jsonb_build_object('name', 'limited', 'context', jsonb_build_object('key', $1::text)))
    FROM generate_series(1, $2::int)))
SQL
CLAIM_LIMITED = "SELECT task_context ->> 'key' FROM tasker.claim_steps('counts', 1, task_names => '{default/limited}')"
claim_beside = -> { Bench.median(Array.new(11) { server.buffers("SELECT * FROM tasker.claim_steps('counts', 1, task_names => '{default/limited,default/one}')") }) }
server.call(CREATE_LIMITED, "many", "500")
5.times { server.call(CLAIM_LIMITED) }
before = claim_beside.call
2.times { server.call(CREATE_LIMITED, "many", "5000") }
server.call(CREATE_LIMITED, "few", "10")
keys = Array.new(12) { server.call(CLAIM_LIMITED).values.flatten.first }
check("the key behind 10,000 steps of another is served within twelve claims", keys.compact == %w[few], "number #{keys.index("few").to_i + 1}")
after = claim_beside.call
check("blocks of claim(1) beside 10,000 steps that a limit keeps back, as many as beside 500", after <= before + 8, "#{before} and #{after}")

puts "1..#{@count}"
