#!/usr/bin/env ruby
# frozen_string_literal: true

# Fault tests: a load runs, something breaks, and afterwards nothing is lost and nothing is stuck.
#
#   script/test fault                                    every scenario, short
#   ruby tests/fault/run.rb --seconds 60                 each for at least a minute
#   ruby tests/fault/run.rb lost_answer disk_full        only these
#
# SERVER_BIN names the directory of a postgres that has the extension; initdb and pg_ctl are there,
# too. Every scenario has clusters of its own below a temporary directory, with fsync on where
# something crashes. Prints TAP.

require "optparse"
require_relative "support/lab"
require_relative "support/scenario"
Dir[File.join(__dir__, "scenarios", "*.rb")].each { |file| require file }

options = { seconds: 1.5, seed: Random.new_seed % 1_000_000 }
names = OptionParser.new do |parser|
  parser.banner = "Usage: SERVER_BIN=... ruby tests/fault/run.rb [options] [SCENARIO...]"
  parser.on("--seconds N", Float, "how long each scenario goes on at least (#{options[:seconds]})")
  parser.on("--seed N", Integer, "what the load is made from")
  parser.on("--list", "says which scenarios there are") do
    Fault::Scenario.all.each { |scenario| puts format("%-28s %s", scenario.label, scenario.description) }
    exit
  end
end.parse(ARGV, into: options)

unknown = names - Fault::Scenario.all.map(&:label)
abort "no scenario #{unknown.join(", ")}; --list names them" unless unknown.empty?

$stdout.sync = true
puts "# seed #{options[:seed]}"
Thread.report_on_exception = false
Fault::Lab.open do |lab|
  report = Fault::Report.new
  Fault::Scenario.all.select { |scenario| names.empty? || names.include?(scenario.label) }.each do |scenario|
    scenario.new(lab: lab, report: report, seconds: options[:seconds], random: Random.new(options[:seed])).perform
  end
  exit report.finish
end
