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
            "SET pg_stat_statements.track = 'all'; SET tasker_core.notify = off")

@count = 0
define_method(:check) do |what, good, seen|
  puts "#{good ? "ok" : "not ok"} #{@count += 1} - #{what}: #{seen}"
end

Bench::Budgets.new(server).row_writes.each do |row|
  check(row.what, row.met, "#{row.measured} (#{row.budget})")
end

# Statements that ran inside of one call, whatever its size.
def statements(server)
  server.exec("SELECT pg_stat_statements_reset()")
  yield
  server.value("SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query ~ '\\mtasker\\.' AND query !~ 'pg_stat_statements'").to_i
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
check("statements of claim_steps, the same for 10 and 50", small[0] == large[0] && large[0].between?(2, 12), "#{small[0]} and #{large[0]}")
check("statements of complete_steps, the same for 10 and 50", small[1] == large[1] && large[1].between?(2, 10), "#{small[1]} and #{large[1]}")

one = statements(server) { server.call(Bench::Workload::CREATE, "chain-10") }
check("statements of create_task", one.between?(2, 3), one)

step, token = work.claim(1).first
one = statements(server) { server.call(Bench::Workload::COMPLETE, step, token, Bench::Workload::RESULT) }
check("statements of complete_step", one.between?(2, 4), one)

# Blocks of a claim with little and with much in the queue.
backlog = Bench::Workload.new(server, "one")
blocks = [1_000, 20_000].map do |tasks|
  backlog.create_many(tasks)
  backlog.claim(1)
  Bench.median(Array.new(11) { server.buffers("SELECT * FROM tasker.claim_steps('counts', 1, task_names => '{default/one}')") })
end
check("blocks of claim(1), as many with 20,000 more waiting", blocks.last <= blocks.first + 8, blocks.join(" and "))
check("blocks of claim(1)", blocks.first <= 48, blocks.first)

puts "1..#{@count}"
