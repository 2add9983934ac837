# frozen_string_literal: true

# The same work by other systems on PostgreSQL, in databases in which you have installed them.
# Nothing of theirs is in this repository; what is here are the calls that their clients send.
#
#   ruby bench/neighbours/run.rb --ours=URL --pgflow=URL ... [--tasks=N] [--rounds=N] [--write]
#
# Each system has an option that takes the URL of its database; whichever is left out is skipped, and
# said to be. For ratios that mean something all databases have to be on one server with durable
# settings (fsync and synchronous_commit on) and autovacuum off. Systems take turns in each round.

require "optparse"
require_relative "../lib/report"
require_relative "family"
require_relative "jobs"
require_relative "systems"

module Bench
  module Neighbours
    SYSTEMS = {
      "ours" => Ours, "pgflow" => Pgflow, "absurd" => Absurd, "dbos" => Dbos, "pgmq" => Pgmq, "que" => Que,
      "good-job" => GoodJob, "solid-queue" => SolidQueue, "tasker-core" => TaskerCore, "tasker-engine" => TaskerEngine
    }.freeze
    LAYERS = "layers-100"

    # Runs the systems in turn and prints tables in Markdown.
    class Comparison
      # What one round did, a step.
      Round = Struct.new(:seconds, :steps, :did, keyword_init: true) do
        def rate = steps / seconds
        def per_step(counter) = did.fetch(counter).fdiv(steps)
      end

      def initialize(drivers, report, tasks:, rounds:)
        @drivers = drivers
        @report = report
        @tasks = tasks
        @rounds = rounds
      end

      HEADS = ["system", "shape", "made and completed", "steps/s", "spread %", "times ours", "WAL bytes/step", "row writes/step",
               "dead/step", "CPU s/1,000 steps"].freeze

      def run
        @report.table("neighbours", *HEADS) do |row|
          %w[chain-10 diamond-4 one].product([false, true]).each do |shape, batches|
            row.call("#{shape} #{batches}") { compare(shape, batches) }
          end
        end
        @report.table("neighbours-readiness", "system", "us", "spread %", "times ours") { |row| row.call("readiness") { readiness } }
      end

      private

      def compare(shape, batches)
        taking_part = @drivers.select { |_, driver| driver.shapes.include?(shape) && (!batches || driver.batches?) }
        taking_part.each_value { |driver| warm(driver, shape, batches) }
        rounds = Bench.in_turn(@rounds, taking_part.transform_values { |driver| -> { round(driver, shape, batches, @tasks) } })
        ours = rounds["ours"] && median_rate(rounds["ours"])
        rounds.map { |name, results| cells(name, shape, batches, results, ours) }
      end

      def warm(driver, shape, batches)
        driver.prepare(shape)
        round(driver, shape, batches, 5)
      end

      # Making the workflows counts: it is part of what a step costs.
      def round(driver, shape, batches, tasks)
        driver.server.exec("VACUUM ANALYZE")
        steps = 0
        before = driver.counters
        seconds = Bench.seconds do
          batches ? driver.create_in_batches(shape, tasks) : driver.create(shape, tasks)
          steps = batches ? driver.work_in_batches(shape) : driver.work(shape)
        end
        wanted = tasks * Driver.steps(shape).size
        raise "#{driver.class} completed #{steps} steps of #{shape} instead of #{wanted}" unless steps == wanted

        did = driver.counters.to_h { |name, count| [name, count - before.fetch(name)] }
        Round.new(seconds: seconds, steps: steps, did: did)
      end

      def median_rate(rounds) = Bench.median(rounds.map(&:rate))

      def cells(name, shape, batches, rounds, ours)
        last = rounds.last
        [name, shape, batches ? "in batches of 50" : "one by one", median_rate(rounds).round, Bench.spread(rounds.map(&:rate)),
         ours ? (ours / median_rate(rounds)).round(1) : "", last.per_step(:wal).round, last.per_step(:writes).round(2),
         last.per_step(:dead).round(2), (last.per_step(:cpu) * 1000).round(3)]
      end

      # Timed in the server, so that the way there and back does not count.
      def readiness
        questions = @drivers.transform_values { |driver| driver.readiness(LAYERS) }.compact
        questions.each_key { |name| @drivers.fetch(name).server.exec("ANALYZE; #{TIMES}") }
        times = Bench.in_turn(@rounds, questions.to_h { |name, sql| [name, -> { ask(@drivers.fetch(name).server, sql) }] })
        ours = times["ours"] && Bench.median(times["ours"])
        times.map do |name, rounds|
          [name, (Bench.median(rounds) * 1e6).round(1), Bench.spread(rounds), ours ? (Bench.median(rounds) / ours).round(1) : ""]
        end
      end

      TIMES = File.read(File.expand_path("../times.sql", __dir__))
      CALLS = 500

      def ask(server, sql) = server.value("SELECT bench_times($1, $2)", sql, CALLS).to_f / CALLS
    end
  end
end

options = { tasks: 100, rounds: 3 }
urls = {}
OptionParser.new do |parser|
  Bench::Neighbours::SYSTEMS.each_key { |name| parser.on("--#{name}=URL") { |url| urls[name] = url } }
  parser.on("--tasks=N", Integer, "workflows of a shape in a round (#{options[:tasks]})")
  parser.on("--rounds=N", Integer, "(#{options[:rounds]})")
  parser.on("--write", "the tables into docs/performance.md")
  parser.on("--about=TEXT", "a line under the tables: machine, versions, settings")
end.parse!(into: options)

Bench::Neighbours::SYSTEMS.each_key { |name| warn "#{name}: skipped: give --#{name}=URL" unless urls.key?(name) }
exit if urls.empty?

drivers = Bench::Neighbours::SYSTEMS.slice(*urls.keys).to_h { |name, driver| [name, driver.new(urls.fetch(name))] }
drivers["ours, claiming with each report"] = Bench::Neighbours::OursWithClaims.new(urls.fetch("ours")) if urls.key?("ours")
report = Bench::Report.new(write: options[:write], about: options[:about])
Bench::Neighbours::Comparison.new(drivers, report, tasks: options[:tasks], rounds: options[:rounds]).run
