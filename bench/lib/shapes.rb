# frozen_string_literal: true

require_relative "budgets"

module Bench
  # Steps per second, and what a step costs, for workflows of several shapes and under what
  # makes queues slow.
  class Shapes
    SHAPES = { "chain-10" => 100, "diamond-4" => 250, "wide-1000" => 1, "one" => 1000, "mixed, 1 % failing" => 100 }.freeze
    ROUNDS = 3

    HEADS = ["shape", "beside", "steps/s", "spread %", "p50 ms", "p99 ms", "WAL bytes/step", "row writes/step", "dead/step",
             "CPU s/1,000 steps"].freeze
    CONDITIONS = %i[plain snapshot waiting finished restart].freeze
    # A restart is what bench/run can do, and --full asks for.
    DAILY = CONDITIONS - [:restart]

    Result = Struct.new(:shape, :condition, :rate, :spread, :p50, :p99, :wal, :writes, :dead, :cpu, keyword_init: true)

    # @param many [Integer] tasks that wait or are finished; a tenth of them as many dead rows
    # @param held [Float] seconds for which the snapshot is held before anything is measured
    # @param restart [#call] restarts the server
    def initialize(server, many: 50_000, held: 0, restart: nil)
      @server = server
      @many = many
      @held = held
      @restart = restart
    end

    # @yield [Result] for each shape beside that condition
    def run(condition)
      send(:"beside_#{condition}") do |name, interrupt|
        SHAPES.each { |shape, tasks| yield measure(shape, tasks, name, interrupt) }
      end
    end

    private

    def measure(shape, tasks, condition, interrupt)
      work = Workload.new(@server, shape == "mixed, 1 % failing" ? "chain-10" : shape)
      work.create(1)
      work.work
      rounds = Array.new(ROUNDS) { round(work, tasks, shape.start_with?("mixed") ? 0.01 : 0.0, interrupt) }
      steps = (tasks * work.steps).to_f
      rates = rounds.map { |round| steps / round[:took] }
      counted = rounds.last[:did].transform_values { |value| value / steps }
      times = rounds.flat_map { |round| round[:times] }
      Result.new(shape: shape, condition: condition, rate: Bench.median(rates).round, spread: Bench.spread(rates),
                 p50: ms(Bench.median(times)), p99: ms(Bench.percentile(times, 0.99)), wal: counted[:wal].round,
                 writes: counted[:writes].round(2), dead: counted[:dead].round(2),
                 cpu: interrupt ? "" : (counted[:cpu] * 1000).round(3)) # another process, after a restart
    end

    # Creating counts as well: it is part of what a step costs. What an interruption takes does not.
    def round(work, tasks, failing, interrupt)
      times = nil
      pause = 0
      took = 0
      did = @server.counting do
        took = Bench.seconds do
          work.create(tasks)
          times = work.work(failing: failing, at_most: interrupt ? tasks * work.steps / 2 : Float::INFINITY)
          pause = Bench.seconds { interrupt&.call }
          times += work.work(failing: failing)
        end
      end
      { took: took - pause, times: times, did: did }
    end

    def beside_plain = yield("nothing else")

    def beside_snapshot
      old = @server.another
      old.exec("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM tasker.tasks LIMIT 1")
      SHAPES.each_key do |shape|
        next if shape.start_with?("mixed")

        dead = Workload.new(@server, shape)
        dead.create_many([@many / 10 / dead.steps, 1].max)
        dead.work_in_batches(batch: 1000)
      end
      sleep @held
      yield("an old snapshot, #{@many / 10} dead rows")
    ensure
      old.close
      @server.exec("VACUUM ANALYZE")
    end

    def beside_waiting
      waiting = Workload.new(@server, "five")
      waiting.create_many(@many)
      @server.exec("VACUUM ANALYZE")
      yield("#{@many} waiting elsewhere")
    ensure
      waiting.work_in_batches(batch: 1000)
      @server.exec("VACUUM ANALYZE")
    end

    def beside_finished
      finished = Workload.new(@server, "one")
      finished.create_many(@many)
      finished.work_in_batches(batch: 1000)
      @server.exec("VACUUM ANALYZE")
      yield("#{@many} finished")
    end

    # The session's plans and caches are gone as well.
    def beside_restart
      raise "bench/run restarts the server; without it there is none to restart" unless @restart

      yield("a restart in the middle", lambda do
        @restart.call
        @server.reconnect
      end)
    end

    def ms(seconds) = (seconds * 1000).round(2)
  end
end
