# frozen_string_literal: true

require_relative "budgets"

module Bench
  # Steps per second, and what a step costs, for workflows of several shapes and under what
  # makes queues slow.
  class Shapes
    SHAPES = { "chain-10" => 100, "diamond-4" => 250, "wide-1000" => 1, "one" => 1000, "mixed, 1 % failing" => 100 }.freeze
    ROUNDS = 3

    Result = Struct.new(:shape, :condition, :rate, :spread, :p50, :p99, :wal, :writes, :dead, :cpu, keyword_init: true)

    def initialize(server, full: false)
      @server = server
      @full = full
    end

    def run
      results = conditions.flat_map do |condition, during|
        during.call { SHAPES.map { |shape, tasks| measure(shape, tasks, condition) } }
      end
      results.each { |result| yield result }
    end

    private

    def conditions
      plain = { "nothing else" => ->(&work) { work.call } }
      many = @full ? 1_000_000 : 50_000
      plain.merge("an old snapshot, #{many / 10} dead rows" => ->(&work) { behind_snapshot(many / 10, &work) },
                  "#{many} waiting elsewhere" => ->(&work) { with_waiting(many, &work) },
                  "#{many} finished" => ->(&work) { with_finished(many, &work) })
    end

    def measure(shape, tasks, condition)
      work = Workload.new(@server, shape == "mixed, 1 % failing" ? "chain-10" : shape)
      work.create(1)
      work.work
      rounds = Array.new(ROUNDS) { round(work, tasks, shape.start_with?("mixed") ? 0.01 : 0.0) }
      steps = (tasks * work.steps).to_f
      rates = rounds.map { |round| steps / round[:took] }
      counted = rounds.last[:did].transform_values { |value| value / steps }
      times = rounds.flat_map { |round| round[:times] }
      Result.new(shape: shape, condition: condition, rate: Bench.median(rates).round, spread: Bench.spread(rates),
                 p50: ms(Bench.median(times)), p99: ms(Bench.percentile(times, 0.99)), wal: counted[:wal].round,
                 writes: counted[:writes].round(2), dead: counted[:dead].round(2), cpu: (counted[:cpu] * 1000).round(3))
    end

    # Creating counts as well: it is part of what a step costs.
    def round(work, tasks, failing)
      times = took = nil
      did = @server.counting do
        took = Bench.seconds do
          work.create(tasks)
          times = work.work(failing: failing)
        end
      end
      { took: took, times: times, did: did }
    end

    def behind_snapshot(count)
      old = @server.another
      old.exec("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM tasker.tasks LIMIT 1")
      SHAPES.each_key do |shape|
        next if shape.start_with?("mixed")

        dead = Workload.new(@server, shape)
        dead.create_many([count / dead.steps, 1].max)
        dead.work_in_batches(batch: 1000)
      end
      yield
    ensure
      old.close
      @server.exec("VACUUM ANALYZE")
    end

    def with_waiting(count)
      waiting = Workload.new(@server, "five")
      waiting.create_many(count)
      @server.exec("VACUUM ANALYZE")
      yield
    ensure
      waiting.work_in_batches(batch: 1000)
      @server.exec("VACUUM ANALYZE")
    end

    def with_finished(count)
      finished = Workload.new(@server, "one")
      finished.create_many(count)
      finished.work_in_batches(batch: 1000)
      @server.exec("VACUUM ANALYZE")
      yield
    end

    def ms(seconds) = (seconds * 1000).round(2)
  end
end
