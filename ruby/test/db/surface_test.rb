# frozen_string_literal: true

require "test_helper"

# Each method once, for what the gem adds to its function: names, types, value
# objects. What the functions do is the extension's own tests' business.
class SurfaceTest < DatabaseTest
  def setup
    super
    register if URL
  end

  def fail_for_good(claim)
    client.fail_step(workflow_step_id: claim.workflow_step_id, claim_token: claim.claim_token,
                     error: { message: "no" }, retryable: false)
  end

  def test_create_tasks
    created = client.create_tasks([{ name: "linear", namespace: namespace, priority: 2 },
                                   { name: "linear", namespace: namespace, idempotency_key: "k" },
                                   { name: "linear", namespace: namespace, idempotency_key: "k" }])
    assert_equal [[1, true], [2, true], [3, false]], created.map { |task| [task.ordinal, task.created?] }
    assert_equal created[1].task_id, created[2].task_id
    assert_raises(TaskerCore::InvalidArgument) { client.create_tasks([{ name: "linear", colour: "red" }]) }
  end

  def test_create_task_from_definition
    template = TaskerCore::Template.new(definition(namespace: namespace, name: "adhoc", steps: { one: [] }))
    task = client.create_task_from_definition(template, context: { a: 1 }, priority: 1)
    assert_equal [true, 1, "pending"], [task.created?, task.step_count, task.state]
  end

  def test_looking_at_a_task
    task_id = create(tags: ["x"], context: { a: 1 })
    assert_equal [task_id, { "a" => 1 }], client.get_task(task_id).fetch("task").values_at("task_id", "context")
    listed = client.list_tasks(filters: { namespace: namespace, tag: "x" }, max_tasks: 5)
    assert_equal [[task_id, "pending", ["x"]]], listed.map { |task| [task.task_id, task.state, task.tags] }
    assert_empty client.list_tasks(filters: { namespace: namespace }, before_task_id: task_id)
    assert_match(/\Aflowchart|\Agraph/, client.task_graph(task_id))
    assert_match(/digraph/, client.template_graph("linear", namespace: namespace, format: "dot"))
    assert(client.get_next_ready_tasks(max_tasks: 10_000).any? { |task| task.task_id == task_id })
    assert_equal [0, 1], client.calculate_dependency_levels(task_id).map(&:dependency_level)
  end

  def test_looking_at_a_step
    two = client.get_step_readiness_status(create).last.workflow_step_id
    assert_equal "two", client.get_step(two).fetch("name")
    assert_equal "waiting_for_dependencies", client.explain_step(two).first.reason
    assert_equal [["one", 1]], client.get_step_transitive_dependencies(two).map { |step| [step.name, step.distance] }
    assert_raises(TaskerCore::StepNotFound) { client.get_step(999_999_999_000_001) }
  end

  def test_moves_of_tasks
    task_id = create
    assert_equal [true, false], [client.pause_task(task_id, reason: "lunch"), client.pause_task(task_id)]
    assert_equal [true, false], [client.resume_task(task_id), client.resume_task(task_id)]
    fail_for_good(claim_one)
    assert_equal 1, client.retry_task(task_id)
    assert_equal 0, client.retry_task(task_id)
    assert_equal true, client.transition_task(task_id, "cancelled", expected_state: "in_progress", reason: "r",
                                                                     metadata: { a: 1 })
    error = assert_raises(TaskerCore::IllegalTransition, TaskerCore::TaskNotActive) { client.pause_task(task_id) }
    assert_equal "TC012", error.sqlstate
  end

  def test_moves_of_steps
    task_id = create
    one, two = client.get_step_readiness_status(task_id).map(&:workflow_step_id)
    move = client.resolve_step(one, results: { "by" => "hand" }, reason: "r")
    assert_equal [task_id, "in_progress", 1], [move.task_id, move.task_state, move.steps_ready]
    assert_equal({ "one" => { "by" => "hand" } }, claim_one.dependency_results)
    assert_equal 1, client.reset_step(two).steps_ready
    assert_raises(TaskerCore::IllegalTransition) { client.reset_step(one) }
    assert_equal "complete", client.skip_step(two).task_state
    other = client.get_step_readiness_status(create).first.workflow_step_id
    assert_equal true, client.transition_step(other, "resolved_manually", results: 7, expected_state: "pending")
  end

  def test_signals
    template = { namespace: namespace, name: "waits", steps: [{ name: "wait", wait_for_signal: { name: "go" } }] }
    client.register_task_template(TaskerCore::Template.new(template))
    task_id = client.create_task("waits", namespace: namespace).task_id
    assert_equal true, client.send_signal(task_id, "go", payload: { "ok" => true })
    assert_equal({ "ok" => true }, client.get_task(task_id).fetch("steps").first.fetch("results"))
    error = assert_raises(TaskerCore::TaskNotActive) { client.send_signal(task_id, "go") }
    assert_equal "TC012", error.sqlstate
  end

  def test_complete_and_claim
    register(name: "single", steps: { one: [] })
    task_id = create
    create(name: "single")
    first, other = client.claim_steps(worker_id: "w", namespaces: [namespace], max_steps: 2)
    rows = client.complete_and_claim(
      workflow_step_ids: [first, other].map(&:workflow_step_id), claim_tokens: [first.claim_token, 1],
      results: [{ "n" => 1 }, nil], worker_id: "w", namespaces: [namespace], max_steps: 5
    )
    claims, refused = rows.partition(&:claim?)
    assert_equal [[task_id, "two", { "one" => { "n" => 1 } }]],
                 claims.map(&:to_claim).map { |claim| [claim.task_id, claim.step_name, claim.dependency_results] }
    assert_instance_of TaskerCore::Claim, claims.first.to_claim
    assert_equal [[other.workflow_step_id, "lease_lost"]], refused.map { |row| [row.completed_step_id, row.status] }
  end

  def test_checkpoint_step
    create
    held = claim_one
    token = { workflow_step_id: held.workflow_step_id, claim_token: held.claim_token }
    assert_equal true, client.checkpoint_step(**token, checkpoint: { "row" => 10 })
    assert_equal true, client.checkpoint_step(**token, checkpoint: { "row" => 20 }, yield: true)
    again = claim_one
    assert_equal [{ "row" => 20 }, 1], [again.checkpoint, again.attempt]
    assert_raises(TaskerCore::LeaseLost) { client.checkpoint_step(**token, checkpoint: nil) }
  end

  def test_events
    head = client.events_lag.head
    task_id = create
    id = client.publish_event("order.shipped", payload: { carrier: "x" }, task_id: task_id)
    assert_instance_of Integer, id
    event = eventually do
      client.read_events(after: head, pattern: "order.*", max_events: 10_000)
            .find { |read| read.task_id == task_id }
    end
    assert_equal ["order.shipped", nil], [event.name, event.workflow_step_id]
    assert_instance_of Time, event.occurred_at
    assert_includes event.payload.to_s, "carrier"
    assert_instance_of Integer, client.events_lag.xmin
    assert_raises(TaskerCore::InvalidArgument) { client.read_events(after: "nonsense") }
  end

  def test_operations
    assert_instance_of Hash, client.run_maintenance(max_items: 10)
    assert_instance_of Array, client.detect_stale_tasks(dry_run: true, max_tasks: 1)
    task_id = create
    entry = client.create_dead_letter(task_id, notes: "look")
    assert_equal true, client.resolve_dead_letter(entry, "cancelled", notes: "done")
    assert_equal false, client.resolve_dead_letter(entry, "cancelled")
    assert_raises(TaskerCore::InvalidArgument) { client.resolve_dead_letter(entry, "forgotten") }
  end

  def test_reports
    complete(claim_one, 1) if create
    health = client.get_system_health_counts
    assert_operator health.total_tasks, :>=, 1
    assert_operator health.max_connections, :>, 0
    assert_operator client.get_analytics_metrics(since: Time.now - 60).task_throughput, :>=, 1
    slow = client.get_slowest_steps(namespace: namespace, limit_count: 1)
    assert_equal [["one", "complete"]], slow.map { |step| [step.step_name, step.step_status] }
    assert_instance_of Float, slow.first.duration_seconds
    assert_equal [1], client.get_slowest_steps_aggregated(namespace: namespace, min_executions: 1)
                            .map(&:execution_count)
    assert_empty client.get_slowest_tasks(namespace: namespace)
    complete(claim_one, 2)
    assert_equal ["complete"], client.get_slowest_tasks(namespace: namespace).map(&:state)
    assert_equal ["linear"], client.get_slowest_tasks_aggregated(namespace: namespace, min_executions: 1)
                                   .map(&:task_name)
  end

  def test_access
    role = "tasker_surface_test_#{Process.pid}"
    connection.query("CREATE ROLE #{role}")
    assert client.grant_access(role, "worker", namespaces: [namespace])
    grant = client.list_access.find { |row| row.role_name == role }
    assert_equal ["worker", [namespace], true], [grant.access, grant.namespaces, grant.effective]
    assert_equal [%w[worker admin]], client.function_access.select { |row| row.function_name == "claim_steps" }.map(&:accesses)
    assert client.revoke_access(role, "worker")
    refute client.revoke_access(role, "worker")
  ensure
    connection.query("DROP ROLE IF EXISTS #{role}")
  end

  def test_validate_json_schema
    faults = client.validate_json_schema({ type: "object", required: ["a"] }, {})
    assert_equal 1, faults.size
    assert_match(/a/, faults.first.message)
    assert_empty client.validate_json_schema({ type: "array" }, [])
  end
end
