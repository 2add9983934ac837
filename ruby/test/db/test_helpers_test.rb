# frozen_string_literal: true

require "test_helper"
require "tasker_core/test_helpers"

class TestHelpersDatabaseTest < DatabaseTest
  include TaskerCore::TestHelpers

  Factory = TaskerCore::Factory

  def setup
    super
    TaskerCore.connection = connection if URL
  end

  def teardown
    TaskerCore.connection = nil
    super
  end

  # A registered pattern with a task of it.
  def prepare(pattern = :linear, **options)
    template = Factory.template(pattern, namespace: namespace, **options)
    register_templates(template)
    TaskerCore.create_task(template[:name], namespace: namespace).task_id
  end

  def test_every_pattern_runs_to_its_end
    Factory::PATTERNS.each do |pattern, steps|
      task_id = prepare(pattern)
      results = drain_tasks(task_id: task_id)
      assert_equal steps.keys.map(&:to_s).sort, results.map(&:step_name).sort, pattern
      assert results.all?(&:success?)
      assert_equal "complete", assert_task_complete(task_id).status
      done = []
      results.each do |result|
        assert_empty steps.fetch(result.step_name.to_sym).map(&:to_s) - done, "#{pattern}: #{result.step_name} before its parents"
        done << result.step_name
      end
      assert_empty client.verify_task(task_id)
    end
  end

  def test_inside_a_transaction_that_is_rolled_back
    task_id = nil
    connection.transaction do
      task_id = prepare(:diamond)
      drain_tasks(task_id: task_id)
      assert_task_complete(task_id)
      raise TaskerCore::Rollback
    end
    assert_nil client.get_task_execution_context(task_id)
  end

  def test_a_failure_is_raised_and_stored
    task_id = prepare(:linear, script: { second: { fail: 1, permanent: true } })
    error = assert_raises(TaskerCore::PermanentError) { drain_tasks(task_id: task_id) }
    assert_equal "attempt 1 fails as it should", error.message
    assert_equal "error", task_state(task_id)
    failed = assert_raises(Minitest::Assertion) { assert_task_complete(task_id) }
    assert_match(/second: error, 1 attempts \(attempt 1 fails as it should\)/, failed.message)
    client.retry_task(task_id)
  end

  def test_ahead_of_time
    task_id = prepare(:linear, script: { second: { fail: 2 } }, backoff_base_ms: 30_000)
    results = drain_tasks(task_id: task_id, raise_errors: false)
    assert_equal %w[first second], results.map(&:step_name)
    assert_equal [false, true], results.map(&:retry_eligible?)
    results = drain_tasks(task_id: task_id, raise_errors: false, ahead: true)
    assert_equal [["second", false], ["second", true], ["third", true], ["fourth", true]],
                 results.map { |result| [result.step_name, result.success?] }
    assert_task_complete(task_id)
    assert_equal "0", connection.query("SELECT current_setting('tasker_core.clock_offset') AS x").first.fetch(:x)
    assert_raises(ArgumentError) { drain_tasks(ahead: true) }
  end

  def test_a_limit_ends_what_does_not_end
    task_id = prepare(:linear)
    assert_raises(Minitest::Assertion) { drain_tasks(task_id: task_id, limit: 2) }
  end

  def test_step_by_step
    task_id = prepare(:linear)
    assert step_ready?(task_id, "first")
    refute step_ready?(task_id, "third")
    assert_equal "third", execute_steps_up_to(task_id, "third").step_name
    assert step_ready?(task_id, "fourth")
    assert_equal "complete", find_step_by_name(task_id, :third).current_state
    assert_match(/\Atask #{task_id} is in_progress\n  first: complete/, task_step_summary(task_id))
    assert_raises(Minitest::Assertion) { find_step_by_name(task_id, "nope") }
    assert_raises(Minitest::Assertion) { execute_steps_up_to(task_id, "first") }
  end

  def test_a_database_error_in_a_handler_spoils_no_transaction
    task_id = nil
    connection.transaction do
      template = definition(namespace: namespace, steps: { one: [] }, handler: nil)
      template["steps"].first["retry"]["backoff_base_ms"] = 600_000 # it still waits when it is looked at
      register_templates(template, handlers: { one: ->(*) { connection.query("SELECT 1/0") } })
      task_id = create
      result, = drain_tasks(task_id: task_id, raise_errors: false)
      assert_equal "22012", result.error.sqlstate
      assert_equal "waiting_for_retry", step_states(task_id)["one"]
    end
    assert_equal "waiting_for_retry", step_states(task_id)["one"]
  end

  def test_step_transaction_inside_and_outside_of_one
    create_ledger
    handler = lambda do |task, _sequence, step|
      step.transaction do |pg|
        write_ledger(pg, task.context["entry"])
        raise TaskerCore::PermanentError, "no" if task.context["fail"]

        "stored"
      end
      "ignored"
    end
    register_templates(definition(namespace: namespace, steps: { one: [] }), handlers: { one: handler })
    kept = create(context: { entry: "kept" })
    assert_equal ["stored"], drain_tasks(task_id: kept).map(&:results)
    lost = create(context: { entry: "lost", fail: true })
    assert drain_tasks(task_id: lost, raise_errors: false).first.failed?
    connection.transaction do
      drain_tasks(task_id: create(context: { entry: "kept too" }))
      assert drain_tasks(task_id: create(context: { entry: "lost", fail: true }), raise_errors: false).first.failed?
    end
    assert_equal ["kept", "kept too"], ledger
    assert_equal "stored", results_of(kept, "one")
  end

  def test_captured_events
    task_id = nil
    events = with_captured_events(pattern: "task.*") do
      task_id = prepare(:linear)
      drain_tasks(task_id: task_id)
    end
    assert_equal(%w[task.created task.started task.completed],
                 events.select { |event| event.task_id == task_id }.map(&:name))
    assert_raises(TaskerCore::Error) { connection.transaction { with_captured_events { nil } } }
  end

  def test_factories
    registered = Factory.foundation(:tree, namespace: namespace)
    assert_predicate registered, :created?
    task = Factory.task(:diamond, namespace: namespace, context: { a: 1 }, priority: 3, tags: ["x"])
    assert_equal 4, task.step_count
    assert_equal "pending", Factory.workflow_step(:left, task_id: task.task_id).current_state
    assert_predicate Factory.workflow_step(:first, namespace: namespace), :ready?
    assert_raises(TaskerCore::StepNotFound) { Factory.workflow_step(:nope, task_id: task.task_id) }
    assert_raises(TaskerCore::InvalidTemplate) { Factory.task({ a: [:a] }, namespace: namespace) }
  end
end

class TaskHandlerDatabaseTest < DatabaseTest
  def handler(pattern = :diamond, **options)
    @handler ||= TaskerCore::TaskHandler::Base.new(
      config: TaskerCore::Factory.template(pattern, namespace: namespace, **options)
    ).tap { |made| made.register!(client: client) }
  end

  def test_a_task_from_beginning_to_end
    task = handler.initialize_task({ "a" => 1 }, client: client, priority: 2)
    assert_predicate task, :created?
    result = handler.handle(task.task_id, client: client)
    assert_predicate result, :complete?
    assert_equal %w[start left right finish].sort, result.steps.map(&:step_name).sort
    assert_nil result.error_message
    assert_raises(TaskerCore::TaskNotFound) { handler.handle(9_000_000_000_000, client: client) }
  end

  def test_a_task_that_fails
    task = handler(:linear, script: { second: { fail: 9, permanent: true } }).initialize_task(client: client)
    result = handler.handle(task.task_id, client: client)
    assert_equal ["error", "attempt 1 fails as it should"], [result.status, result.error_message]
  end

  def test_one_step
    task = handler.initialize_task(client: client)
    ids = client.get_step_readiness_status(task.task_id).to_h { |step| [step.name, step.workflow_step_id] }
    waiting = handler.handle_one_step(ids["finish"], client: client)
    assert_predicate waiting, :not_ready?
    assert_match(/waiting_for_dependencies/, waiting.error.message)
    assert_predicate handler.handle_one_step(ids["start"], client: client), :success?
    right = handler.handle_one_step(ids["right"], client: client)
    assert_equal ["right", { "step" => "right", "parents" => ["start"] }], [right.step_name, right.results]
    assert_equal "pending", client.get_step_readiness_status(task.task_id, step_ids: [ids["left"]]).first.current_state
    assert_predicate handler.handle_one_step(ids["right"], client: client), :not_ready?
    assert_raises(TaskerCore::StepNotFound) { handler.handle_one_step(1, client: client) }
  end
end

class PerformanceTest < DatabaseTest
  def setup
    super
    TaskerCore.connection = connection if URL
  end

  def teardown
    TaskerCore.connection = nil
    super
  end

  def test_reports
    register
    task_id = create
    reports = TaskerCore::Performance
    assert_equal ["one"], reports.viable_steps(task_id).map(&:name)
    assert_equal [0, 1], reports.dependency_levels(task_id).values
    assert_equal "pending", reports.task_execution_context(task_id).status
    complete(claim_one, 1)
    assert_equal ["one"], reports.slowest_steps(limit: 1, since: 3_600, namespace: namespace).map(&:step_name)
    complete(claim_one, 1)
    assert_equal [task_id], reports.slowest_tasks(since: Time.now - 60, namespace: namespace).map(&:task_id)
    assert_operator reports.analytics(since: 60).completion_count, :>=, 1
    assert_operator reports.system_health.complete_tasks, :>=, 1
    create
    assert_operator reports.queue_depth.ready_steps, :>=, 1
    assert_operator reports.queue_depth.pending_tasks, :>=, 1
  end
end
