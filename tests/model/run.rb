#!/usr/bin/env ruby
# frozen_string_literal: true

# The extension against a model of it: random workflows, random operations from several
# connections, and after each of them everything that can be asked is compared. Prints TAP.
#
#   TASKER_TEST_URL=postgresql:///db ruby tests/model/run.rb
#     --seconds N     new seeds for so long (20)
#     --seed N        one seed instead: what failed, again
#     --steps M       operations a seed (80)
#
# Needs a database with the extension, and a superuser: the test moves tasker_core.clock_offset.

require "optparse"

require_relative "matrices"
require_relative "scenario"
require_relative "settings"

module ModelTest
  # Runs tests and counts them.
  class Runner
    def initialize(url)
      @url = url
      @passed = @failed = 0
    end

    def prepare
      server = Server.new(@url)
      server.run("CREATE EXTENSION IF NOT EXISTS tasker_core")
      HostileSchema.create(server)
      @run = server.value("SELECT to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint)")
      server.close
    end

    def matrices
      Matrices.new(@url, @run).each { |name, test| report(name) { test.call } }
      SettingsTest.new(@url, @run).each { |name, test| report(name) { test.call } }
    end

    def scenario(seed, steps)
      scenario = nil
      report("seed #{seed}") do
        scenario = Scenario.new(@url, seed, @run)
        scenario.run(steps)
        "#{scenario.operations} operations"
      rescue StandardError
        puts scenario.log.map { |line| "#   #{line}" } if scenario
        puts "# again: ruby tests/model/run.rb --seed #{seed} --steps #{steps}"
        raise
      end
      @operations = (@operations || 0) + (scenario&.operations || 0)
    end

    def finish
      puts "# #{@operations || 0} operations compared"
      puts "1..#{@passed + @failed}", "#{@passed} passed, #{@failed} failed"
      @failed.zero? && @passed.positive?
    end

    private

    # A test fails by raising; what it returns is said beside its name.
    def report(name)
      detail = yield
      @passed += 1
      puts "ok #{@passed + @failed} - #{name}#{": #{detail}" if detail.is_a?(String)}"
    rescue StandardError => e
      @failed += 1
      puts "not ok #{@passed + @failed} - #{name}"
      puts e.full_message(highlight: false, order: :top).lines.first(e.is_a?(Disagreement) ? 1 : 8).map { |line| "# #{line}" }
    end
  end
end

options = { seconds: 20, steps: 80 }
OptionParser.new do |parser|
  parser.on("--seed N", Integer)
  parser.on("--steps M", Integer)
  parser.on("--seconds N", Float)
end.parse!(into: options)
url = ENV.fetch("TASKER_TEST_URL") { abort "TASKER_TEST_URL must name a database whose tasks may be changed" }
$stdout.sync = true

runner = ModelTest::Runner.new(url)
runner.prepare
if options[:seed]
  runner.scenario(options[:seed], options[:steps])
else
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + options[:seconds]
  runner.matrices
  first = Random.new_seed % 1_000_000_000
  (first..).each do |seed|
    break if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline

    runner.scenario(seed, options[:steps])
  end
end
exit runner.finish
