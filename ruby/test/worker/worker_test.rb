# frozen_string_literal: true

require "test_helper"
require "support/worker_case"

class WorkerBehaviourTest < WorkerTest
  def test_a_diamond_with_results_passed_down
    serve(a: ->(task, *) { task.context["n"] },
          b: [:a, ->(_, sequence, _) { sequence.results_of("a") * 2 }],
          c: [:a, ->(_, sequence, _) { sequence.results_of("a") * 3 }],
          d: [%i[b c], ->(_, sequence, _) { sequence.results_of("b") + sequence.results_of("c") }])
    task_id = create(context: { n: 7 })
    assert_equal "complete", run_task(task_id)
    assert_equal 35, results_of(task_id, "d")
    assert_consistent task_id
  end

  def test_many_tasks_on_several_threads
    threads = Queue.new
    serve(one: ->(*) { (threads << Thread.current) && sleep(0.002) && nil }, two: [:one, ->(*) { true }])
    tasks = Array.new(30) { create }
    start(concurrency: 4)
    tasks.each { |task_id| assert_equal "complete", await_end(task_id) }
    assert_operator Array.new(threads.size) { threads.pop }.uniq.size, :>=, 2
    tasks.each { |task_id| assert_consistent task_id }
  end

  def test_a_failure_is_tried_again_when_it_is_due
    attempts = Queue.new
    serve(one: lambda { |_, _, step|
      attempts << [step.attempt, monotonic]
      raise TaskerCore::RetryableError.new("busy", retry_after: 1) if step.attempt == 1

      step.attempt
    })
    task_id = create
    assert_equal "complete", run_task(task_id, poll_interval: 300)
    (first, first_at), (second, second_at) = Array.new(2) { attempts.pop }
    assert_equal [1, 2, 2], [first, second, results_of(task_id, "one")]
    assert_includes 0.9..29.0, second_at - first_at, "neither at once nor by the next poll"
    assert_consistent task_id
  end

  def test_attempts_are_used_up
    serve(one: ->(*) { raise "boom" }, max_attempts: 2)
    task_id = create
    assert_equal "error", run_task(task_id)
    error = error_of(task_id, "one")
    assert_equal %w[RuntimeError boom], error.values_at("class", "message")
    assert_match(/worker_test\.rb/, error["backtrace"].first)
    assert_equal 2, client.get_step_readiness_status(task_id).first.attempts
    assert_consistent task_id
  end

  def test_every_step_runs_in_the_executor_and_what_ends_one_for_good_is_reported
    wrapped = Queue.new
    reported = Queue.new
    TaskerCore.executor = ->(&block) { (wrapped << true) && block.call }
    TaskerCore.on_error = ->(error, **context) { reported << [error.message, context] }
    serve(one: ->(_, _, step) { raise "attempt #{step.attempt}" }, max_attempts: 2)
    task_id = create
    assert_equal "error", run_task(task_id)
    message, context = reported.pop
    assert_equal ["attempt 2", "one", 2], [message, *context.values_at(:step, :attempt)]
    assert_equal [2, 0], [wrapped.size, reported.size]
  ensure
    TaskerCore.executor = TaskerCore.on_error = nil
  end

  # A decision takes one of two branches; what it leads to waits for a person.
  def serve_an_approval(&decide)
    steps = [{ "name" => "decide", "type" => "decision" },
             { "name" => "ask", "depends_on" => ["decide"] }, { "name" => "automatic", "depends_on" => ["decide"] },
             { "name" => "approval", "depends_on" => ["ask"], "wait_for_signal" => { "name" => "approved" } },
             { "name" => "pay", "depends_on" => %w[approval automatic], "type" => "deferred_convergence" }]
    template = { "name" => "linear", "namespace" => namespace, "steps" => steps }
    @registry.register(template, handlers: { "decide" => decide, "ask" => ->(*) { "asked" }, "automatic" => ->(*) { "free" },
                                             "pay" => ->(_, sequence, _) { sequence.steps.to_h { |one| [one.name, one.results] } } })
    client.register_task_template(template)
  end

  def test_a_decision_and_a_step_that_waits_for_a_signal
    serve_an_approval do |task, _sequence, _step|
      task.context["amount"] < 100 ? TaskerCore::Decision.branches("automatic") : TaskerCore::Decision.branches("ask", why: "a lot")
    end
    small, large = [5, 500].map { |amount| create(context: { amount: amount }) }
    assert_equal "complete", run_task(small)
    assert_equal({ "decide" => "complete", "ask" => "skipped", "automatic" => "complete", "approval" => "skipped",
                   "pay" => "complete" }, step_states(small))
    assert_equal({ "approval" => nil, "automatic" => "free" }, results_of(small, "pay"))
    eventually { step_states(large)["ask"] == "complete" }
    refute_includes %w[complete in_progress], step_states(large)["approval"], "no worker takes what waits for a person"
    assert client.send_signal(large, "approved", payload: { by: "Ada" })
    assert_equal "complete", await_end(large)
    assert_equal({ "approval" => { "by" => "Ada" }, "automatic" => nil }, results_of(large, "pay"))
    assert_equal({ "why" => "a lot", "branches" => ["ask"] }, results_of(large, "decide"))
    [small, large].each { |task_id| assert_consistent task_id }
  end

  def test_a_decision_for_no_step_that_there_is_fails_its_step
    serve_an_approval { |*| TaskerCore::Decision.branches("nowhere") }
    task_id = create
    assert_equal "error", run_task(task_id)
    assert_match(/results cannot be stored: .*nowhere/m, error_of(task_id, "decide")["message"])
    assert_equal "pending", step_states(task_id)["ask"]
    assert_consistent task_id
  end

  # The parent's and the child's steps are run by whoever has their handlers: here, one worker.
  def test_a_step_that_runs_as_a_task
    order = { name: "linear", namespace: namespace, steps: [
      TaskerCore::SubWorkflow.step("double", "doubling", context: { n: TaskerCore::SubWorkflow.path("context.amount") }),
      { name: "tell", depends_on: ["double"] }
    ] }
    doubling = { name: "doubling", namespace: namespace, steps: [{ name: "twice" }] }
    @registry.register(doubling, handlers: { twice: ->(task, *) { task.context["n"] * 2 } })
    @registry.register(order, handlers: { tell: ->(_, sequence, _) { sequence.workflow("double").then { |done| [done.task_id, done.results_of("twice")] } } })
    [doubling, order].each { |template| client.register_task_template(template) }
    task_id = create(context: { amount: 21 })
    assert_equal "complete", run_task(task_id)
    child = TaskerCore::SubWorkflow.child(task_id, "double", client: client)
    assert_equal [child, 42], results_of(task_id, "tell")
    [task_id, child].each { |id| assert_consistent id }
  end

  # Cuts 20 items in two, imports them three at a time, and gathers.
  class Import
    include TaskerCore::Batchable

    def initialize(&write) = @write = write

    def cut(*) = create_batches_outcome(worker_template_name: "work", total_items: 20, cursor_configs: create_cursor_configs(20, 2))

    def work(_task, _sequence, step)
      batch = get_batch_context(step)
      first = step.checkpoint ? step.checkpoint.fetch("cursor") : batch.start_cursor
      last = [first + batch.checkpoint_interval, batch.end_cursor].min
      sum = (step.checkpoint ? step.checkpoint.fetch("accumulated_results") : 0) + (first...last).sum
      step.transaction do |pg|
        (first...last).each { |item| @write.call(pg, format("%02d attempt %d", item, step.attempt)) }
        checkpoint_yield(step, cursor: last, items_processed: last - batch.start_cursor, accumulated_results: sum) if last < batch.end_cursor
        batch_worker_success(items_processed: last - batch.start_cursor, metadata: { sum: sum })
      end
    end

    def gather(_task, sequence, _step)
      aggregate_batch_worker_results(detect_aggregation_scenario(sequence, "cut", "work")) do |results|
        { sums: results.transform_values { |result| result.fetch("sum") } }
      end
    end
  end

  def serve_an_import(import)
    template = { "name" => "linear", "namespace" => namespace, "steps" => [
      { "name" => "cut", "type" => "batchable", "batch_config" => { "checkpoint_interval" => 3 } },
      { "name" => "work", "type" => "batch_worker", "depends_on" => ["cut"], "retry" => { "max_attempts" => 1 } },
      { "name" => "gather", "type" => "deferred_convergence", "depends_on" => ["work"] }
    ] }
    @registry.register(template, handlers: %w[cut work gather].to_h { |name| [name, import.method(name).to_proc] })
    client.register_task_template(template)
  end

  def test_a_batch_worker_that_yields_goes_on_from_its_cursor_and_costs_no_attempt
    create_ledger
    serve_an_import(Import.new { |pg, entry| write_ledger(pg, entry) })
    task_id = create
    assert_equal "complete", run_task(task_id)
    assert_equal Array.new(20) { |item| format("%02d attempt 1", item) }, ledger
    assert_equal({ "sums" => { "work_001" => 45, "work_002" => 145 }, "worker_count" => 2 }, results_of(task_id, "gather"))
    workers = client.get_step_readiness_status(task_id).select { |step| step.name.match?(/\Awork_/) }
    assert_equal [["work_001", 1, 1], ["work_002", 1, 1]], workers.map { |step| [step.name, step.attempts, step.max_attempts] }
    workers.each do |step|
      found = client.get_step(step.workflow_step_id)
      assert_equal [%w[yield yield yield], 1], [found.fetch("moves").map { |move| move.fetch("verb") }, found.fetch("attempt_history").size], step.name
    end
    assert_consistent task_id
  end

  def test_permanent_errors_are_not_tried_again
    serve(one: lambda { |*|
      raise TaskerCore::PermanentError.new("never", error_code: "E7", context: { "sku" => "x" })
    })
    task_id = create
    assert_equal "error", run_task(task_id)
    assert_equal ["E7", { "sku" => "x" }], error_of(task_id, "one").values_at("error_code", "context")
    assert_equal 1, client.get_step_readiness_status(task_id).first.attempts
  end

  def test_results_that_cannot_be_stored_fail_for_good_at_once
    [Float::NAN, "a\0b", "\xff"].each_with_index do |value, index|
      serve(name: "unstorable#{index}", one: ->(*) { value })
      task_id = create(name: "unstorable#{index}")
      worker = start
      assert_equal "error", await_end(task_id)
      assert_match(/results cannot be stored/, error_of(task_id, "one")["message"])
      assert_equal 1, client.get_step_readiness_status(task_id).first.attempts
      worker.stop
      assert_equal 0, finish(worker)
    end
  end

  def test_a_handler_that_calls_exit_does_not_end_the_worker
    serve(one: ->(_, _, step) { step.attempt == 1 ? exit : "survived" })
    task_id = create
    assert_equal "complete", run_task(task_id)
    assert_equal "survived", results_of(task_id, "one")
  end

  def test_heartbeats_keep_a_long_step
    serve(one: ->(_, _, step) { sleep(2.5) && step.attempt })
    task_id = create
    assert_equal "complete", run_task(task_id, lease: 1)
    assert_equal 1, results_of(task_id, "one")
    assert_consistent task_id
  end

  def test_a_lost_lease_is_dropped
    started = Queue.new
    serve(one: ->(*) { (started << true) && sleep(0.5) && "late" })
    task_id = create
    start
    started.pop
    client.cancel_task(task_id)
    eventually { @out.string.include?("lease lost") }
    assert_equal "cancelled", task_state(task_id)
    assert_nil results_of(task_id, "one")
    assert_consistent task_id
  end

  def test_polling_alone_is_enough
    serve(one: ->(*) { 1 }, two: [:one, ->(*) { 2 }])
    start(listen: false)
    task_id = create
    assert_equal "complete", await_end(task_id)
  end

  def test_a_notification_is_faster_than_polling
    serve(one: ->(*) { monotonic })
    worker = start(poll_interval: 600)
    eventually { worker.stats[:claim_calls].positive? } # the first look is over, and found nothing
    created = monotonic
    task_id = create
    assert_equal "complete", await_end(task_id)
    assert_operator results_of(task_id, "one") - created, :<, 60
  end

  def test_a_chain_does_not_wait_for_polls
    steps = (1..10).to_h { |n| [:"s#{n}", [n == 1 ? [] : :"s#{n - 1}", ->(*) { n }]] }
    serve(**steps)
    task_id = create
    started = monotonic
    assert_equal "complete", run_task(task_id, poll_interval: 600, listen: false)
    assert_operator monotonic - started, :<, 60
  end

  def test_a_backlog_does_not_wait_for_polls
    serve(one: ->(*) { 1 })
    tasks = Array.new(20) { create }
    started = monotonic
    start(poll_interval: 600, listen: false)
    tasks.each { |task_id| assert_equal "complete", await_end(task_id) }
    assert_operator monotonic - started, :<, 60
  end

  def test_a_step_this_process_does_not_know_is_given_back
    serve(one: ->(*) { 1 })
    client.register_task_template(definition(namespace: namespace, version: "2.0.0", steps: { other: [] }))
    task_id = create
    start
    eventually { @out.string.include?("no handler for this step") }
    eventually { step_states(task_id) == { "other" => "pending" } }
    assert_equal 0, client.get_step_readiness_status(task_id).first.attempts
  end

  def test_other_templates_and_namespaces_are_left_alone
    serve(one: ->(*) { 1 })
    register(name: "foreign", steps: { one: [] })
    foreign = create(name: "foreign")
    assert_equal "complete", run_task(create)
    assert_equal "pending", task_state(foreign)
  end

  def test_max_steps
    serve(one: ->(*) { 1 })
    tasks = Array.new(5) { create }
    assert_equal 0, finish(start(max_steps: 3))
    assert_equal(3, tasks.count { |task_id| task_state(task_id) == "complete" })
  end

  def test_survives_the_loss_of_all_its_connections
    started = Queue.new
    go = Queue.new
    serve(one: ->(*) { (started << true) && go.pop }, two: [:one, ->(*) { 2 }])
    task_id = create
    start(lease: 20)
    started.pop
    sessions = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tasker_core' " \
               "AND datname = current_database() AND pid <> pg_backend_pid()"
    connection.query(sessions)
    go << "done"
    assert_equal "complete", await_end(task_id)
    assert_equal "done", results_of(task_id, "one")
    assert_equal "complete", await_end(create.tap { go << "again" })
    assert_consistent task_id
  end

  def test_stop_waits_for_running_handlers
    started = Queue.new
    serve(one: ->(*) { (started << true) && sleep(0.5) && "finished" })
    task_id = create
    worker = start
    started.pop
    worker.stop
    assert_equal 0, finish(worker)
    assert_equal "finished", results_of(task_id, "one")
  end

  def test_what_is_claimed_while_stopping_is_given_back
    serve(one: ->(*) { 1 })
    worker = start(poll_interval: 0.1)
    assert_equal "complete", await_end(create)
    task_id = nil
    connection.transaction do |pg|
      pg.exec("LOCK TABLE tasker.step_queue IN ACCESS EXCLUSIVE MODE")
      task_id = create
      eventually { waiting_for_lock?("claim_steps") }
      worker.stop
      eventually { @out.string.include?("stopping") }
    end
    assert_equal 0, finish(worker)
    assert_equal [{ "one" => "pending" }, 0],
                 [step_states(task_id), client.get_step_readiness_status(task_id).first.attempts]
    refute_nil claim_one, "given back at once"
  end

  def waiting_for_lock?(query)
    another = "SELECT 1 AS one FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1::text"
    (@observer ||= another_connection).query(another, ["%#{query}%"]).any?
  end

  def test_handlers_that_do_not_finish_in_time_are_cut_short
    started = Queue.new
    never = Queue.new
    serve(one: ->(*) { (started << true) && never.pop })
    task_id = create
    worker = start(shutdown_timeout: 0.3, lease: 60)
    started.pop
    worker.stop
    assert_equal 1, finish(worker)
    assert_equal({ "one" => "pending" }, step_states(task_id), "given back at once, not when the lease ends")
    assert_equal 0, client.get_step_readiness_status(task_id).first.attempts
  ensure
    never << "too late"
  end

  def test_a_second_stop_does_not_wait
    started = Queue.new
    never = Queue.new
    serve(one: ->(*) { (started << true) && never.pop })
    create
    worker = start(shutdown_timeout: 600)
    started.pop
    began = monotonic
    2.times { worker.stop }
    assert_equal 1, finish(worker)
    assert_operator monotonic - began, :<, 60
  ensure
    never << "too late"
  end
end
