# frozen_string_literal: true

# Measures (bench/run starts the server for it).
#
#   ruby bench/bench.rb --url URL [--full] [--plots DIR] [NAME...]

require "optparse"
require_relative "lib/server"
require_relative "lib/budgets"
require_relative "lib/shapes"
require_relative "lib/plots"

options = { full: false, plots: nil }
OptionParser.new do |parser|
  parser.on("--url URL") { |url| options[:url] = url }
  parser.on("--full") { options[:full] = true }
  parser.on("--plots DIR") { |directory| options[:plots] = directory }
end.parse!
names = ARGV.map(&:to_sym)
known = Bench::Budgets::NAMES + [:shapes]
abort "no benchmark #{(names - known).join(", ")}; there are: #{known.join(", ")}" if (names - known).any?
names = known if names.empty?

server = Bench::Server.new(options.fetch(:url))
server.exec("SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS tasker_core")
server.exec(File.read(File.join(__dir__, "times.sql")))

def table(*cells)
  puts "| #{cells.join(" | ")} |"
  $stdout.flush
end

if (names - [:shapes]).any?
  budgets = Bench::Budgets.new(server, full: options.fetch(:full))
  table("what", "measured", "budget", "", "")
  table(*["---"] * 5)
  (names - [:shapes]).each do |name|
    budgets.public_send(name).each { |row| table(row.what, row.measured, row.budget, row.met ? "met" : "**missed**", row.note) }
  end
end

if names.include?(:shapes)
  puts
  table("shape", "beside", "steps/s", "spread %", "p50 ms", "p99 ms", "WAL bytes/step", "row writes/step", "dead/step", "CPU s/1,000 steps")
  table(*["---"] * 10)
  results = []
  Bench::Shapes.new(server, full: options.fetch(:full)).run do |result|
    results << result
    table(*result.to_a)
  end
  Bench::Plots.new(options[:plots]).shapes(results) if options[:plots]
end
