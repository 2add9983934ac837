#!/usr/bin/env ruby
# frozen_string_literal: true

# Deadlock and race hunt: many connections do everything at once to a few tasks.
#
#   TASKER_TEST_URL=postgresql:///test ruby tests/race/hunt.rb
#   ... --seconds 60 --connections 32 --seed 4711
#
# Each connection picks its verbs and arguments from a generator of its own, made from the seed;
# what the server makes of them depends on timing, so a seed repeats the load, not the interleaving.
# Every transaction runs one verb, and some are rolled back. Then all that is left is worked off,
# and what must hold whatever happened is checked. Prints TAP and a tally.

require "optparse"
require_relative "hunt/ledger"
require_relative "hunt/checks"
require_relative "hunt/templates"
require_relative "hunt/session"

options = { seconds: 8.0, connections: 16, seed: Random.new_seed % 1_000_000 }
OptionParser.new do |parser|
  parser.banner = "Usage: TASKER_TEST_URL=... ruby tests/race/hunt.rb [options]"
  parser.on("--seconds N", Float, "how long (#{options[:seconds]})")
  parser.on("--connections N", Integer, "how many at once (#{options[:connections]})")
  parser.on("--seed N", Integer, "repeats the load of an earlier run")
end.parse!(into: options)

url = ENV.fetch("TASKER_TEST_URL", nil)
if url.nil?
  puts "1..1", "ok 1 - race hunt # SKIP TASKER_TEST_URL names no database"
  exit
end

$stdout.sync = true
puts "# seed #{options[:seed]}: #{options[:connections]} connections for #{options[:seconds]} s"

namespace = "race #{options[:seed]} #{Process.clock_gettime(Process::CLOCK_REALTIME, :millisecond)}"
ledger = Race::Ledger.new
admin = Race.connect(url)
Race::Templates.register(admin, namespace, Random.new(options[:seed]))

deadline = Race.now + options[:seconds]
Array.new(options[:connections]) do |number|
  Thread.new do
    random = Random.new((options[:seed] * 1000) + number)
    Race::Session.new(Race.connect(url), namespace, number, ledger, random).run(deadline)
  end
end.each(&:join)

exit Race::Checks.new(admin, namespace, ledger, Random.new(options[:seed])).report
