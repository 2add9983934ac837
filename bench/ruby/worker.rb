# frozen_string_literal: true

# What the worker costs: steps a second with handlers that do nothing, how long
# a result waits before it is on its way, and what stands between a claim and its handler.
#
#   TASKER_BENCH_URL=postgresql:///a_database ruby -Iruby/lib bench/ruby/worker.rb [--seconds N] [--threads N,N]
#
# The database needs the extension; a namespace of its own is used and left behind.

require "optparse"
require "securerandom"
require "stringio"
require "tasker_core"

module WorkerBench
  CHAIN = 5
  NAMESPACE = "bench_#{SecureRandom.hex(4)}"

  # Does nothing, as fast as it can.
  class Nothing
    def process(_task, _sequence, _step) = nil
  end

  # How long results wait before somebody takes them to the server.
  module Watch
    WAITS = Queue.new

    private

    def taken?(_item)
      started = TaskerCore::Backoff.monotonic
      super.tap { WAITS << (TaskerCore::Backoff.monotonic - started) }
    end
  end
  TaskerCore::Worker::Outbox.prepend(Watch)

  class << self
    def run(seconds, threads)
      url = ENV.fetch("TASKER_BENCH_URL")
      @client = TaskerCore::Client.new(url)
      @registry = TaskerCore::Registry.new
      @registry.register(template, handlers: (1..CHAIN).to_h { |n| ["s#{n}", Nothing.new] })
      @client.register_task_template(template)
      threads.each { |count| throughput(url, count, seconds) }
      dispatch
    end

    private

    def template
      { "name" => "chain", "namespace" => NAMESPACE,
        "steps" => (1..CHAIN).map do |n|
          { "name" => "s#{n}", "depends_on" => n == 1 ? [] : ["s#{n - 1}"], "handler" => { "callable" => "Nothing" } }
        end }
    end

    # A backlog large enough that the worker never waits for work.
    def throughput(url, threads, seconds)
      supply(seconds * 1_500)
      worker = TaskerCore::Worker.new(connection: url, registry: @registry, concurrency: threads, register: false,
                                      log: TaskerCore::Log.open(StringIO.new, level: "error"))
      runner = Thread.new { worker.run }
      sleep(1) # connections are made, plans too
      before = worker.stats
      Watch::WAITS.clear
      started = now
      sleep(seconds)
      after = worker.stats
      took = now - started
      worker.stop
      runner.join
      tell(threads, before, after, took)
    end

    def supply(tasks)
      tasks.clamp(1_000, 100_000).times.each_slice(1_000) do |slice|
        @client.create_tasks(slice.map { { name: "chain", namespace: NAMESPACE } })
      end
    end

    def tell(threads, before, after, took)
      steps = after[:steps]["completed"] - before[:steps]["completed"]
      calls = after[:claim_calls] - before[:claim_calls]
      batched = after[:results_batched] - before[:results_batched]
      alone = after[:results_alone] - before[:results_alone]
      waits = Array.new(Watch::WAITS.size) { Watch::WAITS.pop * 1e3 }.sort
      puts format("%2d threads: %6.0f steps/s; %4.1f results a claim, %.1f %% alone; they wait %.2f ms, 99th %.2f, at most %.2f",
                  threads, steps / took, batched / [calls, 1].max.to_f, 100.0 * alone / [batched + alone, 1].max,
                  waits[waits.size / 2] || 0, waits[waits.size * 99 / 100] || 0, waits.last || 0)
    end

    # What happens between a claim and the handler's code, against calling it.
    def dispatch
      handler = Nothing.new
      task_handler = @registry.fetch("#{NAMESPACE}/chain")
      claim = claim_like
      attempt = attempt_of(claim)
      direct = nanoseconds { handler.process(nil, nil, nil) }
      dispatched = nanoseconds do
        attempt.watch do
          task_handler.process_step_with_handler(TaskerCore::Task.of(claim),
                                                 TaskerCore::StepSequence.new(claim.dependency_results),
                                                 TaskerCore::Step.new(claim, attempt))
        end
      end
      puts format("dispatch: %.1f us above calling the handler directly (%.2f us)", (dispatched - direct) / 1e3,
                  direct / 1e3)
    end

    def attempt_of(claim)
      TaskerCore::Worker::Attempt.new(client: TaskerCore::Client.new(""), claim: claim, worker_id: "bench",
                                      lease_seconds: 60, leases: TaskerCore::Worker::Leases.new)
    end

    def claim_like
      TaskerCore::Claim.new(**TaskerCore::Claim.members.to_h { |name| [name, nil] }, step_name: "s2",
                            task_name: "chain", namespace: NAMESPACE, task_context: { "a" => 1 },
                            dependency_results: { "s1" => nil })
    end

    def nanoseconds(rounds = 100_000)
      rounds.times { yield }
      started = now
      rounds.times { yield }
      (now - started) * 1e9 / rounds
    end

    def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end

seconds = 10
threads = [1, 5, 16]
OptionParser.new do |options|
  options.on("--seconds N", Integer) { |n| seconds = n }
  options.on("--threads LIST", Array) { |list| threads = list.map { |n| Integer(n) } }
end.parse!
WorkerBench.run(seconds, threads)
