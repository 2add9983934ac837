# frozen_string_literal: true

require "test_helper"
require "tasker_core/dashboard"

# What an operator who knows nothing of the task sees when it is stuck, on the command line and on the
# dashboard, and that it can be put right from there.
class StuckTest < DatabaseTest
  def setup
    super
    @dashboard = TaskerCore::Dashboard.new(connection, operator: true) if URL
  end

  def teardown
    TaskerCore.connection = nil
    super
  end

  def cli(*arguments)
    out = StringIO.new
    status = TaskerCore::CLI.run([*arguments.map(&:to_s), "--url", URL], out: out, err: out)
    [status, out.string]
  end

  def ask(path, method: "GET", form: {}, **env)
    status, headers, parts = @dashboard.call({ "REQUEST_METHOD" => method, "SCRIPT_NAME" => "", "PATH_INFO" => path, "QUERY_STRING" => "", "HTTP_HOST" => "localhost",
                                               "CONTENT_TYPE" => "application/x-www-form-urlencoded", "rack.input" => StringIO.new(URI.encode_www_form(form)) }.merge(env.transform_keys(&:to_s)))
    [status, headers, parts.each.to_a.join]
  end

  # Presses the button of a page that leads there; there has to be one.
  def press(page, path, **fields)
    _, headers, html = ask(page)
    assert_includes html, %(action="#{path}"), "#{page} has a button for #{path}"
    status, _, answer = ask(path, method: "POST", form: { form: html[/name="form" value="(\h+)"/, 1], **fields }, HTTP_COOKIE: headers.fetch("set-cookie")[/\A[^;]+/])
    assert_equal 303, status, answer
  end

  # The first reason, on the command line, on the task's page and on the step's.
  def assert_explained(reason, pattern, step)
    task_id = step / 1_000_000
    status, said = cli("step", "explain", step)
    assert_equal 0, status
    assert_match(/\A\S+ +DETAIL\n#{reason} .*#{pattern}/, said)
    [ask("/tasks/#{task_id}"), ask("/steps/#{step}")].each do |code, _, page|
      assert_equal 200, code
      assert_match(%r{<b>#{reason.tr("_", " ")}</b>: [^<]*#{pattern}}, page)
    end
    assert_match(/: #{reason}: .*#{pattern}/, cli("task", "show", task_id)[1])
  end

  # A step that has ended is explained where one asks for it, not among those that wait.
  def assert_explained_on_step(reason, pattern, step)
    assert_match(/\A\S+ +DETAIL\n#{reason} .*#{pattern}/, cli("step", "explain", step)[1])
    assert_match(%r{<b>#{reason}</b>: [^<]*#{pattern}}, ask("/steps/#{step}")[2])
  end

  # A worker takes the step and completes it.
  def assert_goes_on(task_id, state: "complete")
    held = client.claim_steps(worker_id: "w-#{namespace}", task_id: task_id).first
    refute_nil held, "a worker gets the step"
    complete(held, "done")
    assert_equal state, task_state(task_id)
  end

  def fail_step(task_id, **how)
    held = client.claim_steps(worker_id: "w-#{namespace}", task_id: task_id).first
    client.fail_step(workflow_step_id: held.workflow_step_id, claim_token: held.claim_token, error: { class: "Declined", message: "card declined" }, **how)
    held.workflow_step_id
  end

  def one_step = register(steps: { one: [] })

  # Tests before this one left workers that claim from everywhere.
  def nobody_works = connection.query("UPDATE tasker.workers SET last_seen_at = last_seen_at - interval '1 day'")

  def test_no_worker
    one_step
    id = create
    nobody_works
    assert_explained "no_live_worker", "no worker that claims template &?(\"|quot;)linear", (id * 1_000_000) + 1
    # A worker that looks at this namespace is enough: it gets the step.
    assert_equal id, claim_one(worker: "w-#{namespace}").task_id
    assert_includes ask("/workers")[2], "w-#{namespace}"
  end

  def test_paused
    one_step
    id = create
    client.pause_task(id, reason: "stock-taking")
    assert_explained "task_paused", "stock-taking", (id * 1_000_000) + 1
    press("/tasks/#{id}", "/tasks/#{id}/resume")
    assert_goes_on id
  end

  def test_permanent_error
    one_step
    id = create
    step = fail_step(id, retryable: false)
    assert_explained "error", "card declined", step
    assert_includes ask("/dead-letters")[2], %(action="/tasks/#{id}/retry")
    press("/dead-letters", "/tasks/#{id}/retry", reason: "the bank was asked")
    assert_goes_on id
  end

  def test_waiting_for_retry
    one_step
    id = create
    step = fail_step(id, retry_after_seconds: 3000)
    assert_explained "waiting_for_retry", "card declined", step
    assert_nil client.claim_steps(worker_id: "w-#{namespace}", task_id: id).first
    press("/steps/#{step}", "/steps/#{step}/reset", reason: "now, please")
    assert_goes_on id
  end

  def test_a_lease_held_by_a_dead_worker
    one_step
    gone = another_client
    gone.connection.query("SET tasker_core.clock_offset = '-10min'") # ten minutes ago
    id = gone.create_task("linear", namespace: namespace).task_id
    held = gone.claim_steps(worker_id: "dead-#{namespace}", task_id: id, lease_seconds: 86_000).first
    assert_explained "claimed", "dead-#{namespace}", held.workflow_step_id
    row = ask("/workers")[2][%r{<tr><td>dead-#{namespace}</td>.*?</tr>}]
    assert_match(%r{<td>no</td><td>1</td>}, row, "not alive, holds one")
    press("/steps/#{held.workflow_step_id}", "/steps/#{held.workflow_step_id}/reset", reason: "its machine is gone")
    assert_goes_on id
    assert_raises(TaskerCore::LeaseLost) { complete(held, "late") }
  end

  def test_a_lease_that_ran_out_with_nobody_to_take_the_step
    one_step
    id = create
    held = client.claim_steps(worker_id: "dead-#{namespace}", task_id: id, lease_seconds: 0.1).first
    eventually(60) { cli("step", "explain", held.workflow_step_id)[1].include?("lease_expired") }
    assert_explained "lease_expired", "dead-#{namespace}", held.workflow_step_id
    assert_goes_on id
  end

  def test_waiting_for_a_signal
    client.register_task_template(definition(name: "asks", namespace: namespace, steps: {}).merge(
      "steps" => [{ "name" => "approval", "wait_for_signal" => { "name" => "approved" } }]))
    id = create(name: "asks")
    assert_explained "waiting_for_signal", "approved", (id * 1_000_000) + 1
    press("/steps/#{id}000001", "/tasks/#{id}/signal", name: "approved", results: '{"by": "Ada"}')
    assert_equal ["complete", { "by" => "Ada" }], [task_state(id), results_of(id, "approval")]
    other = create(name: "asks")
    assert_equal [0, "task #{other}: a step took it\n"], cli("task", "signal", other, "approved", '"yes"')
    assert_equal "complete", task_state(other)
  end

  def test_a_concurrency_limit
    client.register_task_template(definition(name: "narrow", namespace: namespace, steps: {}).merge(
      "steps" => [{ "name" => "one", "concurrency" => { "key" => "context.customer", "limit" => 1 } }]))
    hangs, waits = Array.new(2) { create(name: "narrow", context: { customer: "acme" }) }
    held = client.claim_steps(worker_id: "w-#{namespace}", task_id: hangs).first
    assert_nil client.claim_steps(worker_id: "w-#{namespace}", task_id: waits).first
    assert_explained "concurrency_limit", "acme.*step #{held.workflow_step_id} holds it", (waits * 1_000_000) + 1
    press("/steps/#{held.workflow_step_id}", "/steps/#{held.workflow_step_id}/skip", reason: "it hangs")
    assert_goes_on waits
  end

  def test_an_unmet_condition
    client.register_task_template(definition(name: "maybe", namespace: namespace, steps: {}).merge(
      "steps" => [{ "name" => "big", "when" => { "path" => "context.amount", "op" => ">", "value" => 100 } }, { "name" => "always" }]))
    id = create(name: "maybe", context: { amount: 7 })
    assert_explained_on_step "skipped", "condition", (id * 1_000_000) + 1
    assert_equal "skipped", step_states(id).fetch("big")
    # A condition is about the context, which does not change: what was meant is another task.
    press("/tasks/#{id}", "/tasks/#{id}/cancel", reason: "wrong amount")
    status, said = cli("task", "create", "#{namespace}/maybe", "-c", '{"amount": 700}')
    assert_equal 0, status
    assert_equal "pending", step_states(said[/task (\d+)/, 1].to_i).fetch("big")
  end

  def test_run_at_in_the_future
    one_step
    id = create(run_at: Time.now + 86_400)
    assert_explained "scheduled", "20\\d\\d-", (id * 1_000_000) + 1
    press("/tasks/#{id}", "/tasks/#{id}/cancel", reason: "wrong day")
    status, said = cli("task", "create", "#{namespace}/linear")
    assert_equal 0, status
    assert_goes_on said[/task (\d+)/, 1].to_i
  end

  def test_a_missing_grant
    one_step
    id = create
    role = "tasker_w_#{SecureRandom.hex(4)}"
    connection.query("CREATE ROLE #{role}")
    worker = another_client
    worker.connection.query("SET ROLE #{role}")
    assert_raises(TaskerCore::DatabaseError) { worker.claim_steps(worker_id: "w", task_id: id) }
    nobody_works
    assert_explained "no_live_worker", "linear", (id * 1_000_000) + 1
    refute_match(/\b#{role}\b/, roles_that_may_claim)
    assert_match(/PROBLEM  grants: role #{role} has no right to the schema tasker/, cli("doctor", "--role", role)[1])
    assert_equal 0, cli("access", "grant", role, "worker", "-n", namespace).first
    assert_match(/^#{role} +worker +#{namespace}/, cli("access", "list")[1])
    assert_match(/\b#{role}\b/, roles_that_may_claim)
    assert_match(/warning  grants: role #{role} may call \d+ of/, cli("doctor", "--role", role)[1])
    assert_equal id, eventually { worker.claim_steps(worker_id: "w", task_id: id).first }.task_id
  ensure
    worker&.connection&.query("RESET ROLE")
    cli("access", "revoke", role, "worker")
    connection&.query("DROP OWNED BY #{role}") if role
    connection&.query("DROP ROLE IF EXISTS #{role}") if role
  end

  def roles_that_may_claim = ask("/workers")[2][%r{<h2 id="roles">.*?</section>}]
end
