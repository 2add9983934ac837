# frozen_string_literal: true

# Measures (bench/ruby/run starts the server for it).
#
#   ruby -I ruby/lib bench/ruby/bench.rb URL

require "tasker_core"

$stdout.sync = true

# Two ways to do the same, in turn, and what each costs a call.
class Comparison
  ROUNDS = 21

  Cost = Struct.new(:elapsed, :processor)

  def initialize(calls) = @calls = calls

  # @return [Array<Cost>] medians in microseconds a call
  def run(*ways)
    ways.each { |way| way.call(@calls / 10 + 1) }
    rounds = Array.new(ROUNDS) { ways.map { |way| measure(way) } }
    ways.each_index.map do |index|
      costs = rounds.map { |round| round[index] }
      Cost.new(median(costs.map(&:elapsed)), median(costs.map(&:processor)))
    end
  end

  private

  def measure(way)
    before = clocks
    way.call(@calls)
    Cost.new(*clocks.zip(before).map { |now, then_| (now - then_) / @calls * 1e6 })
  end

  def clocks = [Process::CLOCK_MONOTONIC, Process::CLOCK_PROCESS_CPUTIME_ID].map { |id| Process.clock_gettime(id) }

  def median(list) = list.sort[list.size / 2]
end

def row(*cells) = puts("| #{cells.join(" | ")} |")

def microseconds(value) = format("%.1f µs", value)

URL = ARGV.fetch(0)
PG_CONNECTION = PG.connect(URL)
PG_CONNECTION.exec("SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS tasker_core")
CLIENT = TaskerCore::Client.new(PG_CONNECTION)
TEMPLATE = { name: "bench", namespace: "bench", steps: [{ name: "one" }, { name: "two", depends_on: ["one"] }] }.freeze
CLIENT.register_task_template(TEMPLATE)
TASK = CLIENT.create_task("bench", namespace: "bench", context: { order: 1 }).task_id

# The driver alone: the same statement and parameters, and every column taken out as text.
def bare(sql, *parameters)
  ->(calls) { calls.times { PG_CONNECTION.exec_params(sql, parameters).to_a } }
end

row("what", "driver alone", "through the gem", "the gem, elapsed", "the gem, processor")
row(*["---"] * 5)
{
  "library_version()" => [bare("SELECT * FROM tasker.library_version()"), ->(n) { n.times { CLIENT.library_version } }],
  "get_task_execution_context(task_id)" => [
    bare("SELECT * FROM tasker.get_task_execution_context(task_id => $1::bigint)", TASK.to_s),
    ->(n) { n.times { CLIENT.get_task_execution_context(TASK) } }
  ],
  "create_task(name, context:, namespace:, priority:, tags:)" => [
    bare("SELECT * FROM tasker.create_task(name => $1::text, context => $2::jsonb, namespace => $3::text, " \
         "priority => $4::int, tags => $5::text[])", "bench", '{"order":1}', "bench", "1", "{a,b}"),
    ->(n) { n.times { CLIENT.create_task("bench", namespace: "bench", context: { order: 1 }, priority: 1, tags: %w[a b]) } }
  ]
}.each do |name, ways|
  # In one transaction, so that no commit is measured.
  bare_cost, gem_cost = PG_CONNECTION.transaction { Comparison.new(100).run(*ways) }
  row("`#{name}`", microseconds(bare_cost.elapsed), microseconds(gem_cost.elapsed),
      microseconds(gem_cost.elapsed - bare_cost.elapsed), microseconds(gem_cost.processor - bare_cost.processor))
end

EVENTS = 50_000
PG_CONNECTION.exec("SELECT count(tasker.publish_event('bench.event', '{\"n\": 1}')) FROM generate_series(1, #{EVENTS})")

# @return [Array<Float>] monotonic time, processor time of this process
def now = [Process::CLOCK_MONOTONIC, Process::CLOCK_PROCESS_CPUTIME_ID].map { |id| Process.clock_gettime(id) }

# @return [Array<Integer>] events a second, and a second of this process's processor time
def since(started, ended = now) = ended.zip(started).map { |after, before| (EVENTS / (after - before)).round }

def rate
  started = now
  yield
  since(started)
end

def delivered(durable)
  TaskerCore::Events::CursorTable.new(TaskerCore::Connection.wrap(PG_CONNECTION)).create
  bus = TaskerCore::Events::Bus.new(connection: URL)
  seen = 0
  done = Queue.new
  started = now
  bus.subscribe("bench.*", as: durable, from: :beginning) { |_event, _pg| (seen += 1) == EVENTS && done.push(now) }
  unless durable # nobody sees them before they are committed
    PG_CONNECTION.transaction do |pg|
      pg.exec("SELECT count(tasker.publish_event('bench.event', '{\"n\": 1}')) FROM generate_series(1, #{EVENTS})")
      started = now
    end
  end
  since(started, done.pop)
ensure
  bus.stop
end

puts
row("events", "a second", "a second of Ruby's processor time")
row("---", "---", "---")
row("`Events.replay`", *rate { TaskerCore::Events.replay(pattern: "bench.*", client: CLIENT).count })
row("durable subscription, 1,000 to a commit", *delivered("bench"))
row("live subscription, from their commit on", *delivered(nil))

# A handler that does about as much as the smallest useful one.
class Work < TaskerCore::StepHandler::Base
  def process(task, _sequence, _step) = { "order" => task.context["order"], "text" => JSON.generate(task.context) }
end

CLAIM = CLIENT.claim_steps(worker_id: "bench", task_id: TASK).first
HANDLER = TaskerCore::TaskHandler::Base.new(
  config: { name: "bench", steps: [{ name: "one", handler: { callable: "Work" } }] }
)
DIRECT = HANDLER.step_handlers.fetch("one")
task = TaskerCore::Task.of(CLAIM)
sequence = TaskerCore::StepSequence.new(CLAIM.dependency_results)
step = TaskerCore::Step.new(CLAIM)

# A result is taken at once; so what is measured is everything that a worker does for a step in Ruby, but for the
# exchange with the server.
class Taken
  def deliver(*) = :completed
end

def runner(handler)
  registry = TaskerCore::Registry.new
  registry.add(handler)
  TaskerCore::Worker::Runner.new(
    client: TaskerCore::Client.new(URL), registry: registry, leases: TaskerCore::Worker::Leases.new,
    outbox: Taken.new, worker_id: "bench", lease_seconds: 60, metrics: TaskerCore::Worker::Metrics.new,
    log: TaskerCore::Log.open(File.open(File::NULL, "w")), bell: nil
  )
end
OWN_CLAIM = CLAIM.with(namespace: HANDLER.template.namespace)
RUNNER = runner(HANDLER)
direct, dispatched, whole, ran = Comparison.new(5_000).run(
  ->(n) { n.times { DIRECT.process(task, sequence, step) } },
  ->(n) { n.times { HANDLER.process_step_with_handler(task, sequence, step) } },
  lambda do |n|
    n.times do
      HANDLER.process_step_with_handler(TaskerCore::Task.of(CLAIM), TaskerCore::StepSequence.new(CLAIM.dependency_results),
                                        TaskerCore::Step.new(CLAIM))
    end
  end,
  ->(n) { n.times { RUNNER.run(OWN_CLAIM) } }
)

# About a millisecond of processor time.
class Millisecond < TaskerCore::StepHandler::Base
  DOCUMENT = Array.new(400) { |n| { "number" => n, "text" => "some text" } }.freeze

  def process(_task, _sequence, _step) = { "bytes" => JSON.parse(JSON.generate(DOCUMENT)).size }
end

long = TaskerCore::TaskHandler::Base.new(config: { name: "bench", steps: [{ name: "one", handler: { callable: "Millisecond" } }] })
long_runner = runner(long)
long_direct, long_dispatched, long_ran = Comparison.new(200).run(
  ->(n) { n.times { long.step_handlers.fetch("one").process(task, sequence, step) } },
  lambda do |n|
    n.times do
      long.process_step_with_handler(TaskerCore::Task.of(CLAIM), TaskerCore::StepSequence.new(CLAIM.dependency_results),
                                     TaskerCore::Step.new(CLAIM))
    end
  end,
  ->(n) { n.times { long_runner.run(OWN_CLAIM) } }
)
puts
row("a handler that makes some JSON", "a call, processor")
row("---", "---")
row("called directly", format("%.2f µs", direct.processor))
row("by `process_step_with_handler`", format("%.2f µs", dispatched.processor))
row("and with its arguments made from the claim", format("%.2f µs", whole.processor))
row("and by a worker's thread, with result, metrics and log line", format("%.2f µs", ran.processor))
row("a handler of a millisecond, called directly", format("%.1f µs", long_direct.processor))
row("by `process_step_with_handler`, arguments made", format("%.1f µs", long_dispatched.processor))
row("by a worker's thread", format("%.1f µs", long_ran.processor))
