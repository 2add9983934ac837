#!/usr/bin/env ruby
# frozen_string_literal: true

# The extension against a model of it: random workflows, random operations from several
# connections, and after each of them everything that can be asked is compared. Prints TAP.
#
#   TASKER_TEST_URL=postgresql:///db ruby tests/model/run.rb
#     --seconds N     new seeds for so long (20), and
#     --seeds N       no more than so many, beginning with --from S
#     --seed N        one seed instead: what failed, again
#     --steps M       operations a seed (160)
#     --as-owner      all by the role of the connection; else each call is made by a role that has one access alone
#
# Needs a superuser, since the test moves tasker_core.clock_offset, and a database of its own: the
# extension is dropped there and made anew now and then, so that an hour is no slower at its end.

require "optparse"

require_relative "matrices"
require_relative "roles"
require_relative "scenario"
require_relative "settings"

module ModelTest
  # Runs tests and counts them.
  class Runner
    # Seeds that share one installation of the extension.
    SHARED = 20

    def initialize(url, roles:)
      @url = url
      @roles = roles
      @passed = @failed = @operations = @seeds = 0
      @limits = Hash.new(0)
      @tally = Tally.new
    end

    def matrices
      install
      Matrices.new(@url).each { |name, test| report(name) { test.call } }
      SettingsTest.new(@url).each { |name, test| report(name) { test.call } }
    end

    def scenario(seed, steps)
      install if (@seeds % SHARED).zero?
      @seeds += 1
      scenario = nil
      report("seed #{seed}") do
        scenario = Scenario.new(@url, seed)
        scenario.run(steps)
        "#{scenario.operations} operations"
      rescue StandardError
        puts scenario.log.map { |line| "#   #{line}" } if scenario
        puts "# again: ruby tests/model/run.rb --seed #{seed} --steps #{steps}"
        raise
      end
      @operations += scenario&.operations || 0
      scenario&.limit_counts&.each { |what, count| @limits[what] += count }
      @tally.add(scenario.tally) if scenario
    end

    def finish
      drop_roles if @roles
      puts "# #{@operations} operations compared", *@tally.lines.map { |line| "#   #{line}" }
      puts "# under limits: #{@limits.sort.map { |what, count| "#{what} #{count}" }.join(", ")}"
      puts "1..#{@passed + @failed}", "#{@passed} passed, #{@failed} failed"
      @failed.zero? && @passed.positive?
    end

    private

    def drop_roles
      server = Server.new(@url)
      roles = Server.roles
      Server.roles = nil
      puts "# statements of the last seeds: #{roles&.counts}"
      roles&.drop(server)
      server.close
    end

    def install
      server = Server.new(@url)
      refuse_foreign_tasks(server)
      Server.roles = nil
      server.run("DROP EXTENSION IF EXISTS tasker_core; CREATE EXTENSION tasker_core")
      HostileSchema.create(server)
      Server.roles = as_roles(server) if @roles
      server.close
    end

    # Impostors are in the way of all of them.
    def as_roles(server)
      Roles.new(server).tap { server.run("GRANT USAGE ON SCHEMA tasker_model_hostile TO #{Roles::ACCESSES.map { |access| Roles.role(access) }.join(", ")}") }
    end

    def refuse_foreign_tasks(server)
      return unless server.value("SELECT to_regclass('tasker.task_namespaces') IS NOT NULL")

      foreign = server.value("SELECT name FROM tasker.task_namespaces WHERE name NOT LIKE 'model %'")
      abort "TASKER_TEST_URL names a database that is in use: namespace \"#{foreign}\"" if foreign
    end

    # A test fails by raising; what it returns is said beside its name.
    def report(name)
      detail = yield
      @passed += 1
      puts "ok #{@passed + @failed} - #{name}#{": #{detail}" if detail.is_a?(String)}"
    rescue StandardError => e
      @failed += 1
      puts "not ok #{@passed + @failed} - #{name}"
      puts explain(e).map { |line| "# #{line}" }
    end

    def explain(error)
      return error.message.lines if error.is_a?(Disagreement)

      error.full_message(highlight: false, order: :top).lines.first(8)
    end
  end
end

options = { seconds: 20, seeds: Float::INFINITY, steps: 160 }
OptionParser.new do |parser|
  parser.on("--seed N", Integer)
  parser.on("--steps M", Integer)
  parser.on("--seconds N", Float)
  parser.on("--seeds N", Integer)
  parser.on("--from S", Integer)
  parser.on("--as-owner")
end.parse!(into: options)
url = ENV.fetch("TASKER_TEST_URL") { abort "TASKER_TEST_URL must name a database of its own for this test" }
$stdout.sync = true

runner = ModelTest::Runner.new(url, roles: !options[:"as-owner"])
if options[:seed]
  runner.scenario(options[:seed], options[:steps])
else
  runner.matrices
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + options[:seconds]
  first = options[:from] || Random.new_seed % 1_000_000_000
  (first..).each.with_index do |seed, count|
    break if count >= options[:seeds] || Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline

    runner.scenario(seed, options[:steps])
  end
end
exit runner.finish
