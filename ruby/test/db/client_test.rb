# frozen_string_literal: true

require "test_helper"

class ClientTest < DatabaseTest
  def test_versions
    assert_match(/\A1\./, client.check_extension)
    assert_match(/\A1\./, client.library_version)
  end

  def test_register_task_template
    first = register
    assert_equal [namespace, "linear", "1.0.0", true], [first.namespace, first.name, first.version, first.created?]
    again = register
    assert_equal [first.named_task_id, false], [again.named_task_id, again.created?]
    assert_raises(TaskerCore::TemplateConflict) { register(steps: { one: [] }) }
    error = assert_raises(TaskerCore::InvalidTemplate) { register(name: "empty", steps: {}) }
    assert_equal "TC020", error.sqlstate
    refute_nil error.detail
  end

  def test_validate_task_template
    assert_equal [], client.validate_task_template(definition(steps: { one: [] }))
    warnings = client.validate_task_template(definition(steps: { one: [] }, colour: "red"))
    assert_equal 1, warnings.size
    assert_match(/\Acolour/, warnings.first)
    assert_raises(TaskerCore::InvalidTemplate) { client.validate_task_template({ name: "x", steps: [] }) }
  end

  def test_get_and_list_task_templates
    register
    register(version: "1.10.0")
    register(version: "1.9.0")
    assert_equal "1.10.0", client.get_task_template("linear", namespace: namespace).fetch("version")
    template = client.get_task_template("linear", namespace: namespace, version: "1.0.0")
    assert_equal(%w[one two], template.fetch("steps").map { |step| step.fetch("name") })
    summaries = client.list_task_templates(namespace: namespace)
    assert_equal(%w[1.0.0 1.10.0 1.9.0], summaries.map(&:version).sort)
    assert_equal [2], summaries.map(&:step_count).uniq
    assert_instance_of Time, summaries.first.created_at
    error = assert_raises(TaskerCore::TemplateNotFound) { client.get_task_template("nope", namespace: namespace) }
    assert_equal "TC001", error.sqlstate
    refute_nil error.hint
  end

  def test_create_task
    register
    task = client.create_task("linear", namespace: namespace, context: { order: 1 }, idempotency_key: "k",
                                        priority: 3, tags: %w[a b,c], initiator: "test", reason: "because",
                                        source_system: "suite", correlation_id: SecureRandom.uuid)
    assert_equal [true, 2, "pending"], [task.created?, task.step_count, task.state]
    again = client.create_task("linear", namespace: namespace, context: { order: 2 }, idempotency_key: "k")
    assert_equal [task.task_id, false], [again.task_id, again.created?]
    assert_raises(TaskerCore::TemplateNotFound) { client.create_task("nope", namespace: namespace) }
    assert_raises(TaskerCore::InvalidArgument) do
      client.create_task("linear", namespace: namespace, correlation_id: "no uuid")
    end
    assert_raises(ArgumentError) { client.create_task("linear", contxt: {}) }
  end

  def test_run_at_in_the_future_keeps_the_task_back
    register
    later = create(run_at: Time.now + 3600)
    assert_nil claim_one
    ready = create
    assert_equal ready, claim_one.task_id
    refute_equal later, ready
  end

  def test_claim_complete_and_look
    register
    task_id = create(context: { "order" => 7 })
    first = claim_one(lease_seconds: 30)
    assert_equal ["one", task_id, 1, 3, { "order" => 7 }, {}],
                 [first.step_name, first.task_id, first.attempt, first.max_attempts, first.task_context,
                  first.dependency_results]
    assert_equal ["#{namespace}/linear", "1.0.0", "TestSupport::Echo"],
                 [first.full_task_name, first.task_version, first.handler_class]
    assert_in_delta Time.now.to_f + 30, first.lease_expires_at.to_f, 10
    assert_predicate first.task_context, :frozen?
    assert_nil claim_one, "one step of a chain is ready at a time"

    completion = complete(first, { "total" => 1.5 })
    assert_equal [task_id, "in_progress", 1, "completed"],
                 [completion.task_id, completion.task_state, completion.steps_ready, completion.status]
    assert_predicate complete(first, { "total" => 99 }), :already_completed?
    second = claim_one
    assert_equal({ "one" => { "total" => 1.5 } }, second.dependency_results)
    assert_equal "complete", complete(second, nil).task_state

    context = client.get_task_execution_context(task_id)
    assert_equal ["complete", 2, 2, "all_complete", 100.0],
                 [context.status, context.total_steps, context.completed_steps, context.execution_status,
                  context.completion_percentage]
    assert_equal({ "one" => "complete", "two" => "complete" }, step_states(task_id))
    assert_nil results_of(task_id, "two")
    assert_empty client.verify_task(task_id)
    assert_nil client.get_task_execution_context(0)
  end

  def test_every_json_value_is_a_result
    register(steps: { one: [] })
    [nil, false, 0, "", [], {}, "text", 1.5, 2**53, { "ü" => ["☃", nil] }].each do |value|
      task_id = create
      complete(claim_one, value)
      assert_equal({ value: value }, { value: results_of(task_id, "one") })
    end
  end

  def test_filters_of_claims
    register
    create
    assert_empty client.claim_steps(worker_id: "w", task_names: ["#{namespace}/other"])
    assert_empty client.claim_steps(worker_id: "w", namespaces: ["#{namespace}x"])
    claims = client.claim_steps(worker_id: "w", task_names: ["#{namespace}/linear", "x/y"], max_steps: 5)
    assert_equal 1, claims.size
  end

  def test_a_stale_token_changes_nothing
    register
    task_id = create
    stale = claim_one(lease_seconds: 0.1)
    fresh = eventually { claim_one(worker: "w2") }
    assert_equal 2, fresh.attempt
    error = assert_raises(TaskerCore::LeaseLost) { complete(stale, "stale") }
    assert_equal "TC011", error.sqlstate
    assert_raises(TaskerCore::LeaseLost) do
      client.fail_step(workflow_step_id: stale.workflow_step_id, claim_token: stale.claim_token, error: {})
    end
    assert_equal [stale.workflow_step_id],
                 client.heartbeat(worker_id: "w1", workflow_step_ids: [stale.workflow_step_id],
                                  claim_tokens: [stale.claim_token])
    complete(fresh, "fresh")
    assert_equal "fresh", results_of(task_id, "one")
    assert_raises(TaskerCore::StepNotFound) { complete(stale.with(workflow_step_id: 999_999_999_000_001), 1) }
  end

  def test_complete_steps_judges_each_item
    register(steps: { one: [] })
    task_ids = Array.new(3) { create }
    claims = client.claim_steps(worker_id: "w", namespaces: [namespace], max_steps: 3)
    assert_equal 3, claims.size
    complete(claims[1], "before")
    tokens = claims.map(&:claim_token)
    tokens[2] += 1
    rows = client.complete_steps(workflow_step_ids: claims.map(&:workflow_step_id), claim_tokens: tokens,
                                 results: [{ "a" => 1 }, nil, "x"])
    statuses = rows.to_h { |row| [row.workflow_step_id, row.status] }
    assert_equal(%w[completed already_completed lease_lost],
                 claims.map { |claim| statuses.fetch(claim.workflow_step_id) })
    assert_equal 2, rows.count(&:completed?)
    assert_equal({ "a" => 1 }, results_of(claims[0].task_id, "one"))
    assert_equal task_ids.sort, claims.map(&:task_id).sort
  end

  def test_fail_step
    register(steps: { one: [] })
    task_id = create
    held = claim_one
    failure = client.fail_step(workflow_step_id: held.workflow_step_id, claim_token: held.claim_token,
                               error: { message: "busy" }, retry_after_seconds: 0)
    assert_equal "waiting_for_retry", failure.step_state
    assert_instance_of Time, failure.next_retry_at
    held = eventually { claim_one }
    assert_equal 2, held.attempt
    failure = client.fail_step(workflow_step_id: held.workflow_step_id, claim_token: held.claim_token,
                               error: { message: "never" }, retryable: false)
    assert_equal ["error", nil, "error"], [failure.step_state, failure.next_retry_at, failure.task_state]
    assert_equal "never", error_of(task_id, "one").fetch("message")
  end

  def test_heartbeat_and_release
    register(steps: { one: [] })
    create
    held = claim_one(lease_seconds: 5)
    ids = [held.workflow_step_id]
    tokens = [held.claim_token]
    assert_equal [], client.heartbeat(worker_id: "w1", workflow_step_ids: ids, claim_tokens: tokens, lease_seconds: 60)
    assert_equal [], client.heartbeat(worker_id: "w1", workflow_step_ids: [], claim_tokens: [])
    assert_equal 1, client.release_steps(workflow_step_ids: ids, claim_tokens: tokens)
    again = claim_one
    assert_equal 1, again.attempt, "a released claim is no attempt"
    assert_equal 0, client.release_steps(workflow_step_ids: ids, claim_tokens: tokens)
    assert_equal 1, client.release_steps(workflow_step_ids: ids, claim_tokens: [again.claim_token], delay_seconds: 60)
    assert_nil claim_one
  end

  def test_cancel_task
    register
    task_id = create
    held = claim_one
    assert_equal true, client.cancel_task(task_id, reason: "changed my mind")
    assert_equal false, client.cancel_task(task_id)
    assert_equal "cancelled", task_state(task_id)
    assert_raises(TaskerCore::LeaseLost) { complete(held, 1) }
    error = assert_raises(TaskerCore::TaskNotFound) { client.cancel_task(9_000_000_000_000) }
    assert_equal "TC002", error.sqlstate
  end

  def test_readiness
    register
    task_id = create
    one, two = client.get_step_readiness_status(task_id)
    assert_equal [%w[one pending], %w[two pending]], [one, two].map { |step| [step.name, step.current_state] }
    assert_equal [true, false], [one.ready?, two.ready?]
    assert_equal [0, 1], [one.total_parents, two.total_parents]
    only = client.get_step_readiness_status(task_id, step_ids: [two.workflow_step_id])
    assert_equal([two.workflow_step_id], only.map(&:workflow_step_id))
    assert_equal [], client.get_step_readiness_status(task_id, step_ids: [])
    other = create
    batch = client.get_step_readiness_status_batch([task_id, other])
    assert_equal([task_id, task_id, other, other], batch.map(&:task_id))
    assert_equal([task_id, other], client.get_task_execution_contexts_batch([task_id, other]).map(&:task_id).sort)
  end

  def test_calculate_backoff
    assert_equal 4000, client.calculate_backoff("exponential", 3)
    assert_equal 3000, client.calculate_backoff("linear", 3)
    assert_equal 500, client.calculate_backoff(:exponential, 1, base_ms: 500)
    assert_equal 700, client.calculate_backoff("exponential", 30, max_ms: 700)
    assert_raises(TaskerCore::InvalidArgument) { client.calculate_backoff("magic", 1) }
  end

  def test_verify_all
    assert_equal [], client.verify_all
    assert_equal [], client.verify_all(max_tasks: 1)
  end

  def test_joins_the_callers_transaction
    register
    task_id = nil
    client.transaction do
      task_id = create
      raise TaskerCore::Rollback
    end
    assert_nil client.get_task_execution_context(task_id)

    pg = PG.connect(URL)
    borrowed = TaskerCore::Client.new(pg)
    pg.transaction { task_id = borrowed.create_task("linear", namespace: namespace).task_id }
    refute_nil client.get_task_execution_context(task_id)
  ensure
    pg&.close
  end

  def test_results_the_database_cannot_store
    register(steps: { one: [] })
    create
    held = claim_one
    error = assert_raises(TaskerCore::SerializationError) { complete(held, "a\0b") }
    assert_equal "22P05", error.sqlstate
    assert_raises(TaskerCore::SerializationError) { complete(held, Float::NAN) }
    assert_equal "completed", complete(held, "fine").status
  end

  def test_a_database_without_the_extension
    with_database do |url|
      bare = TaskerCore::Client.new(url)
      error = assert_raises(TaskerCore::ExtensionMissing) { bare.check_extension }
      assert_match(/CREATE EXTENSION tasker_core/, error.hint)
      error = assert_raises(TaskerCore::ExtensionMissing) { bare.library_version }
      assert_equal "3F000", error.sqlstate
      assert_equal 3, TaskerCore::CLI.run(["check", "--url", url], out: StringIO.new, err: StringIO.new)
    ensure
      TaskerCore.connection = nil
    end
  end

  private

  # An empty database beside the tests' own.
  def with_database
    name = "tasker_test_#{SecureRandom.hex(4)}"
    connection.query("CREATE DATABASE #{name} TEMPLATE template0")
    server = connection.with(&:conninfo_hash).slice(:host, :port, :user, :password).compact
    yield server.merge(dbname: name).map { |key, value| "#{key}=#{PG::Connection.quote_connstr(value)}" }.join(" ")
  ensure
    connection.query("DROP DATABASE IF EXISTS #{name} WITH (FORCE)")
  end
end
