# frozen_string_literal: true

# Measures (bench/run starts the server for it).
#
#   ruby bench/bench.rb --url URL [options] [NAME...]

require "optparse"
require_relative "lib/server"
require_relative "lib/budgets"
require_relative "lib/plots"
require_relative "lib/report"
require_relative "lib/scaling"
require_relative "lib/shapes"

options = { full: false, plots: nil, scale: 1.0, minutes: Float::INFINITY, write: false }
OptionParser.new do |parser|
  parser.on("--url URL") { |url| options[:url] = url }
  parser.on("--restart COMMAND", "restarts the server") { |command| options[:restart] = command }
  parser.on("--about TEXT", "machine, versions, settings") { |text| options[:about] = text }
  parser.on("--full") { options[:full] = true }
  parser.on("--scale FACTOR", Float) { |factor| options[:scale] = factor }
  parser.on("--minutes MINUTES", Float) { |minutes| options[:minutes] = minutes }
  parser.on("--results FILE") { |path| options[:results] = path }
  parser.on("--plots DIR") { |directory| options[:plots] = directory }
  parser.on("--write") { options[:write] = true }
end.parse!

full = Bench::Shapes::CONDITIONS + Bench::Scaling::NAMES
names = ARGV.map(&:to_sym)
known = options[:full] ? full + Bench::Budgets::NAMES : Bench::Budgets::NAMES + [:shapes]
abort "no benchmark #{(names - known).join(", ")}; there are: #{known.join(", ")}" if (names - known).any?
names = options[:full] ? full : known if names.empty?

server = Bench::Server.new(options.fetch(:url))
server.exec("SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS tasker_core")
server.exec(File.read(File.join(__dir__, "times.sql")))

report = Bench::Report.new(write: options[:write], results: options[:results], about: options[:about])
plots = Bench::Plots.new(options[:plots]) if options[:plots]
million = (options[:scale] * 1_000_000).round

budgets = names & Bench::Budgets::NAMES
if budgets.any?
  measure = Bench::Budgets.new(server, many: options[:full] ? million : 100_000)
  report.table("budgets", "what", "measured", "budget", "", "") do |row|
    budgets.each do |name|
      row.call(name) do
        measure.public_send(name).map { |line| [line.what, line.measured, line.budget, line.met ? "met" : "**missed**", line.note] }
      end
    end
  end
end

conditions = names & Bench::Shapes::CONDITIONS
conditions = Bench::Shapes::DAILY if names.include?(:shapes)
if conditions.any?
  restart = -> { system(options.fetch(:restart)) || abort("the server does not restart") } if options[:restart]
  shapes = options[:full] ? Bench::Shapes.new(server, many: million, held: options[:scale] * 120, restart: restart) : Bench::Shapes.new(server)
  results = []
  report.table(options[:full] ? "full" : "shapes", *Bench::Shapes::HEADS) do |row|
    conditions.each do |condition|
      row.call(condition) { [].tap { |cells| shapes.run(condition) { |result| cells << (results << result).last.to_a } } }
    end
  end
  plots&.shapes(results) if results.any?
end

scaling = names & Bench::Scaling::NAMES
if scaling.any?
  sizes = Bench::Scaling.new(server, scale: options[:scale], minutes: options[:minutes])
  scaling.each do |name|
    rows = []
    report.table(name.to_s, *Bench::Scaling::HEADS.fetch(name)) do |row|
      sizes.run(name) { |size, measure| row.call(size) { measure.call.tap { |cells| rows << cells } } }
    end
    plots&.workers(rows) if name == :workers && rows.any?
  end
end
