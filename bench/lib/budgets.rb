# frozen_string_literal: true

require_relative "floor"
require_relative "timing"
require_relative "workload"

module Bench
  # A line of the table.
  Row = Struct.new(:what, :measured, :budget, :met, :note, keyword_init: true)

  # The budgets, one method each: it makes what it measures, and returns rows.
  class Budgets
    NAMES = %i[row_writes create complete batch claims dead_rows readiness join].freeze
    ROUNDS = 5
    # Seconds after which what a claim has walked over is forgotten (src/store/claim_marks.c).
    MARKS_ARE_OVER = 1.5

    # @param many [Integer] tasks that wait or are finished
    def initialize(server, many: 100_000)
      @server = server
      @many = many
    end

    def row_writes
      { "chain-10" => [4.6, 2.5], "diamond-4" => [6.0, 3.0] }.flat_map do |shape, (writes, dead)|
        work = warm(shape)
        did = @server.counting { work.create(100) && work.work }
        steps = 100.0 * work.steps
        [at_most("row writes per step, #{shape}", did[:writes] / steps, writes),
         at_most("dead tuples per step, #{shape}", did[:dead] / steps, dead),
         Row.new(what: "HOT updates of tasks, #{shape}", measured: "#{did[:hot_task_updates]} of #{did[:task_updates]}",
                 budget: "all", met: did[:hot_task_updates] == did[:task_updates])]
      end
    end

    # create_task beside the same inserts.
    def create
      work = warm("five")
      floor = floor_of(work)
      statement = floor.create_statement
      times = Bench.in_turn(ROUNDS, ours: -> { Bench.seconds { work.create(400) } },
                                    floor: -> { Bench.seconds { 400.times { floor.session.call(statement) } } })
      [against_floor("create_task, 5 steps", times, 400, 0.7), big_dag]
    end

    # Claim ten, complete one by one, a commit each. What several sessions do depends on who notifies: each commit by
    # itself takes a lock of the whole server for it, until it is on disk.
    def complete
      [completing(1, "1 session"),
       @server.with_background_worker { completing(4, "4 sessions, background worker") },
       completing(4, "4 sessions, notify off") { |session| session.exec("SET tasker_core.notify = off") },
       completing(4, "4 sessions, each commit notifies")]
    end

    def batch
      work = warm("chain-10")
      floor = floor_of(work)
      own = sessions(1)
      times = Bench.in_turn(ROUNDS, ours: -> { prepared(work, 200, own) { |s| work.work_in_batches(session: s) } },
                                    floor: -> { floor.prepared(200, own) { |s| floor.work_in_batches(s, steps: work.steps) } })
      [against_floor("claim 50, complete 50", times, 2000, 0.6)]
    ensure
      own&.each(&:close)
    end

    # Blocks that claim(1) touches, whatever waits and whatever is finished.
    def claims
      work = warm("one")
      work.create_many(1000)
      small = claim_blocks(work)
      work.create_many(@many)
      large = claim_blocks(work)
      work.work_in_batches(batch: 1000)
      work.create_many(1000)
      after = claim_blocks(work)
      [at_most("blocks per claim(1), #{@many} waiting (#{small} with 1,000)", large, small + 8),
       at_most("blocks per claim(1), #{@many} finished", after, small + 8)]
    end

    # Claims while an old snapshot keeps the dead rows of many.
    def dead_rows
      work = warm("one")
      work.create_many(2000)
      before = claim_times(work, @server)
      old = @server.another
      old.exec("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM tasker.tasks LIMIT 1")
      work.create_many(100_000)
      work.work_in_batches(batch: 1000)
      work.create_many(2000)
      alone, after_others = [MARKS_ARE_OVER, 0].map { |pause| first_claim(work, pause) }
      behind = claim_times(work, @server)
      [at_most("claim(1) behind 100,000 dead rows, times that without", Bench.median(behind) / Bench.median(before), 2,
               note: "p99 #{ms(Bench.percentile(before, 0.99))} and #{ms(Bench.percentile(behind, 0.99))}"),
       at_most("a session's first claim behind them, ms", alone, 50,
               note: "#{after_others} ms where another session has claimed within a second")]
    ensure
      old&.close
    end

    READINESS = "SELECT FROM tasker.get_step_readiness_status(%d)"
    BY_HAND = File.read(File.expand_path("../readiness_by_hand.sql", __dir__))

    # In the server, so that the way there and back does not count.
    def readiness
      { "layers-1000" => [20, 2000], "ten" => [500, 60] }.flat_map do |shape, (count, budget)|
        work = Workload.new(@server, shape)
        work.create(1)
        task = @server.value("SELECT max(task_id) FROM tasker.tasks").to_i
        @server.exec("ANALYZE")
        times = Bench.in_turn(ROUNDS, ours: -> { in_server(format(READINESS, task), count) },
                                      hand: -> { in_server(format(BY_HAND, task: task), count) })
        ours, hand = times.values_at(:ours, :hand).map { |rounds| Bench.median(rounds) / count * 1e6 }
        [at_most("readiness of #{work.steps} steps, us", ours, budget),
         at_most("readiness of #{work.steps} steps, share of SQL by hand", ours / hand, 0.5)]
      end
    end

    # Eight sessions complete the 1,000 parents of one join, and 1,000 independent steps.
    def join
      wide = warm("wide-1000")
      one = warm("one")
      own = sessions(8)
      times = Bench.in_turn(3, join: -> { parents_of_a_join(wide, own) },
                               independent: -> { prepared(one, 1000, own) { |s| one.work(session: s) } })
      [at_most("1,000 parents of a join by 8 sessions, times 1,000 independent steps",
               Bench.median(times[:join]) / Bench.median(times[:independent]), 3)]
    ensure
      own&.each(&:close) # what they wrote is in the statistics then
    end

    private

    # The plans, the lanes and the worker's row belong to no task in particular.
    def warm(shape)
      Workload.new(@server, shape).tap do |work|
        work.create(2)
        work.work
        work.work_in_batches
      end
    end

    # @see Floor
    def floor_of(work)
      work.create(1)
      @server.exec("VACUUM ANALYZE")
      Floor.new(@server.another, model: @server.value("SELECT max(task_id) - 1 FROM tasker.tasks").to_i)
    end

    def sessions(count) = Array.new(count) { @server.another }

    # Creates, then measures how long the sessions take to run all of it.
    def prepared(work, tasks, sessions)
      work.create_many(tasks)
      Bench.in_sessions(sessions) { |session| yield session }
    end

    def completing(count, how)
      work = warm("chain-10")
      floor = floor_of(work)
      own = sessions(count)
      own.each { |session| yield session } if block_given?
      times = Bench.in_turn(ROUNDS, ours: -> { prepared(work, 40 * count, own) { |s| work.work(session: s) } },
                                    floor: -> { floor.prepared(40 * count, own) { |s| floor.work(s, steps: work.steps) } })
      against_floor("claim 10, complete one by one, #{how}", times, 400 * count, 0.8)
    ensure
      own&.each(&:close)
    end

    def parents_of_a_join(wide, sessions)
      wide.create(1)
      wide.claim(1).each { |claim| wide.server.call(Workload::COMPLETE, *claim, Workload::RESULT) }
      parents = Queue.new(wide.claim(1000))
      took = Bench.in_sessions(sessions) do |session|
        while (claim = parents.pop(true) rescue nil)
          session.call(Workload::COMPLETE, *claim, Workload::RESULT)
        end
      end
      wide.work
      took
    end

    def big_dag
      work = warm("layers-1000")
      times = Array.new(20) { Bench.seconds { work.create(1) } }
      work.server.exec("SELECT count(tasker.cancel_task(task_id)) FROM tasker.tasks WHERE state = 'pending'")
      at_most("create_task, 1,000 steps, ms", Bench.median(times) * 1000, 3, note: "996 of them joins")
    end

    def claim_blocks(work)
      statement = "SELECT * FROM tasker.claim_steps('bench', 1, task_names => '{default/#{work.shape}}')"
      Bench.median(Array.new(11) { @server.buffers(statement) })
    end

    # Of a session that nobody has spared the walk over what is dead, if the pause is long enough.
    def first_claim(work, pause)
      times = Array.new(3) do
        sleep pause
        fresh = @server.another
        Bench.seconds { work.claim(1, session: fresh) }.tap { fresh.close }
      end
      (Bench.median(times) * 1000).round(1)
    end

    def claim_times(work, session)
      Array.new(500) { Bench.seconds { work.claim(1, session: session) } }
    end

    def in_server(statement, count)
      @server.value("SELECT bench_times($1, $2)", statement, count).to_f
    end

    def ms(seconds) = "#{(seconds * 1000).round(2)} ms"

    def at_most(what, measured, budget, note: nil)
      Row.new(what: what, measured: measured.round(measured.abs < 10 ? 3 : 1), budget: "<= #{budget}", met: measured <= budget, note: note)
    end

    def against_floor(what, times, count, budget)
      ours, floor = times.values_at(:ours, :floor).map { |rounds| count / Bench.median(rounds) }
      Row.new(what: what, measured: (ours / floor).round(2), budget: ">= #{budget} of the floor", met: ours / floor >= budget,
              note: "#{ours.round}/s, floor #{floor.round}/s, spread #{Bench.spread(times[:ours])} and #{Bench.spread(times[:floor])} %")
    end
  end
end
