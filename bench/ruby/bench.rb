# frozen_string_literal: true

# Measures (bench/ruby/run starts the server for it).
#
#   ruby -I ruby/lib bench/ruby/bench.rb URL [PAGE]
#
# PAGE: a file that has the figures between "<!-- figures -->" and "<!-- end of figures -->".

require "etc"
require "tasker_core"

# Several ways to do the same, in turn, and what each costs a call.
class Comparison
  ROUNDS = 40

  def initialize(calls) = @calls = calls

  # In an order that changes from round to round, since the garbage of one way is collected in the time of another.
  #
  # @return [Array<Float>] microseconds of this process's processor time a call; the lower quartile of all rounds,
  #   because what else runs on the machine only adds to it
  def run(*ways)
    ways.each { |way| way.call(@calls / 10 + 1) }
    costs = ways.map { [] }
    ROUNDS.times { ways.each_index.to_a.shuffle.each { |index| costs[index] << measure(ways[index]) } }
    costs.map { |list| list.sort[ROUNDS / 4] }
  end

  private

  def measure(way)
    before = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
    way.call(@calls)
    (Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) - before) / @calls * 1e6
  end
end

# A handler that does about as much as the smallest useful one.
class Work < TaskerCore::StepHandler::Base
  def process(task, _sequence, _step) = { "order" => task.context["order"], "text" => JSON.generate(task.context) }
end

# A good part of a millisecond of processor time.
class LongWork < TaskerCore::StepHandler::Base
  DOCUMENT = Array.new(600) { |n| { "number" => n, "text" => "some text" } }.freeze

  def process(_task, _sequence, _step) = { "bytes" => JSON.parse(JSON.generate(DOCUMENT)).size }
end

# A result is taken at once; so what is measured is everything that a worker does for a step in Ruby, but for the
# exchange with the server.
class Taken
  def deliver(*) = :completed
end

# The measurements and the tables they come in.
class Bench
  EVENTS = 50_000
  TEMPLATE = { name: "bench", namespace: "bench", steps: [{ name: "one" }, { name: "two", depends_on: ["one"] }] }.freeze

  def initialize(url)
    @url = url
    @pg = PG.connect(url)
    @pg.exec("SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS tasker_core")
    @client = TaskerCore::Client.new(@pg)
    @client.register_task_template(TEMPLATE)
    @task_id = @client.create_task("bench", namespace: "bench", context: { order: 1 }).task_id
  end

  # @return [String] Markdown
  def report = [machine, calls, handlers, events].join("\n\n")

  private

  def machine
    cpu = File.foreach("/proc/cpuinfo").grep(/\Amodel name/).first.to_s.split(": ", 2).last.to_s.strip
    "#{Time.now.utc.strftime("%F")}: PostgreSQL #{@pg.exec("SHOW server_version").getvalue(0, 0).split.first} " \
      "(fsync on, no assertions), Ruby #{RUBY_VERSION}, pg #{PG::VERSION}, #{Etc.nprocessors} cores of #{cpu}, " \
      "load #{File.read("/proc/loadavg").split.first}."
  end

  def table(head, rows)
    [head, ["---"] * head.size, *rows].map { |cells| "| #{cells.join(" | ")} |" }.join("\n")
  end

  def microseconds(value) = format(value < 10 ? "%.1f µs" : "%.0f µs", value)

  # The driver alone: the same statement and parameters, and every column taken out as text.
  def bare(sql, *parameters) = ->(calls) { calls.times { @pg.exec_params(sql, parameters).to_a } }

  def calls
    rows = compared_calls.map do |name, ways|
      # In one transaction, so that no commit is measured.
      bare, gem = @pg.transaction { Comparison.new(100).run(*ways) }
      [name, *[bare, gem, gem - bare].map { |value| microseconds(value) }]
    end
    table(["a call", "by the driver alone", "by the gem", "more"], rows)
  end

  def compared_calls
    {
      "`library_version`" => [bare("SELECT * FROM tasker.library_version()"), ->(n) { n.times { @client.library_version } }],
      "`get_task_execution_context`, 16 columns" => [
        bare("SELECT * FROM tasker.get_task_execution_context(task_id => $1::bigint)", @task_id.to_s),
        ->(n) { n.times { @client.get_task_execution_context(@task_id) } }
      ],
      "`create_task` with five arguments" => [
        bare("SELECT * FROM tasker.create_task(name => $1::text, context => $2::jsonb, namespace => $3::text, " \
             "priority => $4::int, tags => $5::text[])", "bench", '{"order":1}', "bench", "1", "{a,b}"),
        ->(n) { n.times { @client.create_task("bench", namespace: "bench", context: { order: 1 }, priority: 1, tags: %w[a b]) } }
      ]
    }
  end

  def handlers
    claim = @client.claim_steps(worker_id: "bench", task_id: @task_id).first.with(namespace: "default")
    rows = { Work => 2_000, LongWork => 50 }.map { |handler, calls| dispatch(handler, calls, claim) }
    table(["a handler", "called through the gem", "by a worker's thread, with result, metrics and log line",
           "the same with `--log-level warn`"], rows)
  end

  def dispatch(handler, calls, claim)
    built = TaskerCore::TaskHandler::Base.new(
      config: { name: "bench", steps: [{ name: "one", handler: { callable: handler.name } }] }
    )
    arguments = arguments_of(claim)
    direct, *others = Comparison.new(calls).run(
      ->(n) { n.times { built.step_handlers.fetch("one").process(*arguments) } },
      ->(n) { n.times { built.process_step_with_handler(*arguments_of(claim)) } },
      *%w[info warn].map { |level| runner(built, level) }.map { |runner| ->(n) { n.times { runner.run(claim) } } }
    )
    ["of #{microseconds(direct)}", *others.map { |cost| "+ #{microseconds(cost - direct)}, #{percent(cost, direct)}" }]
  end

  def percent(cost, direct) = format("%.1f %%", 100 * (cost / direct - 1))

  def arguments_of(claim)
    [TaskerCore::Task.of(claim), TaskerCore::StepSequence.new(claim.dependency_results), TaskerCore::Step.new(claim)]
  end

  def runner(handler, level)
    registry = TaskerCore::Registry.new
    registry.add(handler)
    TaskerCore::Worker::Runner.new(
      client: TaskerCore::Client.new(@url), registry: registry, leases: TaskerCore::Worker::Leases.new,
      outbox: Taken.new, worker_id: "bench", lease_seconds: 60, metrics: TaskerCore::Worker::Metrics.new,
      log: TaskerCore::Log.open(File.open(File::NULL, "w"), level: level), bell: nil
    )
  end

  def events
    publish(@pg)
    replayed = rate { TaskerCore::Events.replay(pattern: "bench.*", client: @client).count }
    rows = [["`Events.replay`", *replayed], ["durable subscription, 1,000 to a commit", *delivered("bench")],
            ["live subscription, from their commit on", *delivered(nil)]]
    table(["events", "a second", "a second of Ruby's processor time"], rows)
  end

  def publish(pg)
    pg.exec("SELECT count(tasker.publish_event('bench.event', '{\"n\": 1}')) FROM generate_series(1, #{EVENTS})")
  end

  # @return [Array<Float>] monotonic time, processor time of this process
  def now = [Process::CLOCK_MONOTONIC, Process::CLOCK_PROCESS_CPUTIME_ID].map { |id| Process.clock_gettime(id) }

  # @return [Array<String>] events a second, and a second of processor time
  def since(started, ended = now, count: EVENTS)
    ended.zip(started).map { |after, before| (count / (after - before)).round(-2).to_s.gsub(/(?<=\d)(?=(\d{3})+\z)/, ",") }
  end

  # @yieldreturn [Integer] how many events
  def rate
    started = now
    count = yield
    since(started, count: count)
  end

  def delivered(durable)
    TaskerCore::Events::CursorTable.new(TaskerCore::Connection.wrap(@pg)).create
    bus = TaskerCore::Events::Bus.new(connection: @url)
    seen = 0
    done = Queue.new
    started = now
    bus.subscribe("bench.*", as: durable, from: :beginning) { |_event, _pg| (seen += 1) == EVENTS && done.push(now) }
    started = published unless durable
    since(started, done.pop)
  ensure
    bus.stop
  end

  # @return [Array<Float>] the moment of their commit, as far as it can be told: nobody sees them before
  def published
    @pg.transaction do |pg|
      publish(pg)
      now
    end
  end
end

url, page = ARGV
figures = Bench.new(url).report
puts figures
if page
  text = File.read(page)
  marks = /(?<=<!-- figures -->\n).*(?=\n<!-- end of figures -->)/m
  abort "#{page} has no place for the figures" unless text.match?(marks)
  File.write(page, text.sub(marks) { figures })
end
