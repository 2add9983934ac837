# frozen_string_literal: true

require "test_helper"
require "tmpdir"

# The operators' commands against a server.
class CommandsDatabaseTest < DatabaseTest
  def teardown
    TaskerCore.connection = nil
    super
  end

  # @return [Array(Integer, String, String)] status, standard output, standard error
  def cli(*arguments)
    out = StringIO.new
    err = StringIO.new
    [TaskerCore::CLI.run([*arguments.map(&:to_s), "--url", URL], out: out, err: err), out.string, err.string]
  end

  def json(*arguments)
    status, out, err = cli(*arguments, "--json")
    assert_equal "", err
    [status, JSON.parse(out)]
  end

  def fail_for_good(task_id)
    held = client.claim_steps(worker_id: "w1", task_id: task_id).first
    client.fail_step(workflow_step_id: held.workflow_step_id, claim_token: held.claim_token,
                     error: { message: "card declined" }, retryable: false)
  end

  def test_create_show_list
    register
    status, made = json("task", "create", "#{namespace}/linear", "-c", '{"order": 7}', "-k", "k1", "--tags", "a,b")
    assert_equal [0, true, 2], [status, made.fetch("created"), made.fetch("step_count")]
    id = made.fetch("task_id")
    assert_equal [false, id], json("task", "create", "#{namespace}/linear", "-k", "k1").last.values_at("created", "task_id")
    assert_equal({ "order" => 7 }, json("task", "show", id).last.dig("task", "context"))
    _, out, = cli("task", "show", id)
    assert_match(/^#{id}000001 +one +pending/, out)
    assert_match(/^one: (no_live_worker|queue_position): /, out)
    assert_match(/^two: waiting_for_dependencies: /, out)
    assert_equal([id], json("task", "list", "-n", namespace).last.map { |row| row.fetch("task_id") })
    assert_equal [], json("task", "list", "-n", namespace, "-s", "error").last
    assert_match(/#{id} +#{namespace} +linear/, cli("task", "list", "-n", namespace)[1])
  end

  def test_pause_resume_cancel
    register
    id = create
    assert_equal [0, "task #{id}: paused\n", ""], cli("task", "pause", id, "-m", "audit")
    assert_match(/paused/, cli("task", "list", "-n", namespace)[1])
    assert_match(/^task_paused +.*audit/, cli("step", "explain", "#{id}:one")[1])
    assert_equal "task #{id}: was paused already\n", cli("task", "pause", id)[1]
    assert_equal "task #{id}: resumed\n", cli("task", "resume", id)[1]
    assert_equal "task #{id}: cancelled\n", cli("task", "cancel", id)[1]
    status, _, err = cli("task", "pause", id)
    assert_equal 6, status
    assert_match(/HINT/, err)
  end

  def test_a_failure_is_seen_and_put_right
    register
    id = create
    fail_for_good(id)
    assert_equal 1, cli("task", "watch", id).first
    assert_match(/^error +.*card declined/, cli("step", "explain", "#{id}:one")[1])
    assert_match(/card declined/, cli("step", "show", "#{id}:one")[1])
    letter = json("dead-letters").last.find { |row| row.fetch("task_id") == id }
    assert_equal %w[one permanent_error], letter.values_at("step_name", "reason")
    assert_equal 1, cli("health").first
    assert_equal [0, "task #{id}: 1 steps are tried again\n", ""], cli("task", "retry", id)
    fail_for_good(id)
    status, after = json("step", "resolve", "#{id}:one", "null", "-m", "by hand")
    assert_equal [0, "in_progress", 1], [status, *after.values_at("task_state", "steps_ready")]
    assert_equal "resolved_manually", json("step", "show", "#{id}:one").last.fetch("state")
    assert_equal 0, cli("step", "skip", "#{id}:two").first
    status, out, = cli("task", "watch", id)
    assert_equal 0, status
    assert_match(/» two  skipped/, out)
    assert_match(/\[#{"#" * 30}\] 100/, out)
  end

  def test_reset_and_dead_letter_resolve
    register
    id = create
    fail_for_good(id)
    letter = json("dead-letters").last.find { |row| row.fetch("task_id") == id }.fetch("dead_letter_id")
    assert_equal [0, "dead letter #{letter}: closed\n", ""], cli("dead-letters", "resolve", letter, "--as", "permanently_failed", "-m", "x")
    assert_equal 6, cli("dead-letters", "resolve", letter, "--as", "cancelled").first
    assert_match(/reset; task #{id} is in_progress, 1 steps ready/, cli("step", "reset", "#{id}000001")[1])
  end

  def test_watch_estimates_from_past_runs_of_the_template
    register(steps: { one: [] })
    complete(client.claim_steps(worker_id: "w1", task_id: create).first, 1)
    id = create
    status, out, = cli("task", "watch", id, "--timeout", "0", "-i", "0.01")
    assert_equal 1, status
    assert_match(/past run/, out)
    refute_match(/no past runs/, out)
    assert_match(/· one  pending/, out)
    register(name: "fresh", steps: { one: [] })
    assert_match(/no past runs to estimate from/, cli("task", "watch", create(name: "fresh"), "--timeout", "0", "-i", "0.01")[1])
  end

  def test_templates
    Dir.mktmpdir do |directory|
      path = File.join(directory, "parcel.yml")
      File.write(path, "name: parcel\nnamespace: #{namespace}\ncolour: red\nsteps: [{name: a}, {name: b, depends_on: [a]}]\n")
      status, rows = json("template", "validate", path)
      assert_equal [0, "#{namespace}/parcel 0.1.0"], [status, rows.first.fetch("template")]
      assert_match(/\Acolour/, rows.first.fetch("warnings").first)
      assert_equal [], json("template", "list", "-n", namespace).last
      assert_equal true, json("template", "register", path).last.first.fetch("created")
      assert_equal ["parcel"], json("template", "list", "-n", namespace).last.map { |row| row.fetch("name") }
      assert_match(/^2 b <- 1$/, cli("template", "graph", "#{namespace}/parcel")[1])
      assert_match(/\Aflowchart/, cli("template", "graph", "#{namespace}/parcel", "-f", "mermaid")[1])
      File.write(path, "name: parcel\nnamespace: #{namespace}\nsteps: [{name: a, depends_on: [a]}]\n")
      status, _, err = cli("template", "validate", path)
      assert_equal 2, status
      assert_match(/parcel\.yml: .*invalid/i, err)
    end
  end

  def test_events_tail
    register
    start = TaskerCore::Operator.new(client).newest_cursor
    id = create
    client.publish_event("order.shipped", payload: { id: id }, task_id: id)
    # Other sessions of this server may hold events back for a while.
    out = eventually(60) do
      text = cli("events", "tail", "--no-follow", "--after", start)[1]
      text if text.include?("task #{id}")
    end
    assert_match(/task\.created  task #{id}/, out)
  end

  def test_not_found
    assert_equal 5, cli("task", "show", 9_000_000_000_000).first
    assert_equal 5, cli("step", "explain", "9000000000000000001").first
    register
    status, _, err = cli("step", "explain", "#{create}:nope")
    assert_equal 5, status
    assert_match(/no step "nope"/, err)
    assert_equal 5, cli("template", "graph", "#{namespace}/nope").first
    assert_equal 5, cli("task", "create", "#{namespace}/nope").first
  end

  def test_doctor_has_a_remedy_for_what_it_finds
    status, findings = json("doctor")
    assert_includes [0, 1], status
    assert_equal TaskerCore::CLI::Doctor::CHECKS.map(&:to_s), findings.map { |finding| finding.fetch("check") }
    findings.each do |finding|
      assert_includes %w[ok warning problem], finding.fetch("level")
      assert_equal finding.fetch("level") == "ok", finding["remedy"].nil?, finding.inspect
      refute_match(/could not look/, finding.fetch("detail"))
    end
    assert_equal %w[ok ok ok], findings.values_at(0, 1, 3).map { |finding| finding.fetch("level") }
  end

  def schedule(name = "nightly", **columns)
    register unless client.list_task_templates(namespace: namespace).any?
    status, made = json("schedule", "create", "#{namespace}/#{name}", "linear", "0 3 * * *", "--timezone", "Europe/Berlin")
    assert_equal [0, true], [status, made.fetch("created")]
    columns.each { |column, value| connection.query("UPDATE tasker.schedules SET #{column} = #{value} WHERE namespace_name = '#{namespace}'") }
    "#{namespace}/#{name}"
  end

  def listed = json("schedule", "list", "-n", namespace).last

  def test_schedules_are_made_listed_paused_and_dropped
    name = schedule
    assert_match(/^schedule #{name}: exists already, next at /,
                 cli("schedule", "create", name, "linear", "0 3 * * *", "--timezone", "Europe/Berlin")[1])
    assert_equal [["linear", "0 3 * * *", "Europe/Berlin", "on time"]],
                 listed.map { |row| row.values_at("task_name", "cron", "timezone", "condition") }
    assert_match(/#{namespace} +nightly +linear +0 3 \* \* \* +Europe.Berlin +on time +\d{4}-/, cli("schedule", "list", "-n", namespace)[1])
    assert_equal [0, "schedule #{name}: paused\n", ""], cli("schedule", "pause", name)
    assert_equal ["paused", nil], listed.first.values_at("condition", "next_due_at")
    assert_equal "schedule #{name}: was paused already\n", cli("schedule", "pause", name)[1]
    assert_equal "schedule #{name}: resumed\n", cli("schedule", "resume", name)[1]
    assert_equal "schedule #{name}: dropped\n", cli("schedule", "drop", name)[1]
    assert_equal [0, "no schedule\n", ""], cli("schedule", "list", "-n", namespace)
    %w[pause resume].each do |verb|
      status, out, err = cli("schedule", verb, name)
      assert_equal [5, ""], [status, out], verb
      assert_match(/schedule "nightly" not found in namespace "#{namespace}"/, err)
    end
    assert_equal [5, "schedule #{name}: there is none\n", ""], cli("schedule", "drop", name)
    assert_equal [5, { "schedule" => name, "changed" => false }], json("schedule", "drop", name)
    status, out, err = cli("schedule", "create", name, "linear", "61 * * * *")
    assert_equal [1, ""], [status, out]
    assert_match(/cron|minute/, err)
  end

  def schedules_as_the_doctor_sees_them
    doctor = TaskerCore::CLI::Doctor.new(TaskerCore::Operator.new(client))
    doctor.findings.find { |finding| finding.fetch(:check) == :schedules }
  end

  def test_doctor_finds_schedules_that_make_no_tasks
    name = schedule(next_due_at: "now() - interval '1 hour'")
    finding = schedules_as_the_doctor_sees_them
    assert_equal "problem", finding.fetch(:level)
    assert_match(/schedule #{name} is due since .*: run maintenance/, finding.fetch(:detail))
    assert_match(/maintenance/, finding.fetch(:remedy))
    client.retire_task_template("linear", namespace: namespace)
    eventually { client.run_maintenance && listed.first.fetch("last_error") }
    finding = schedules_as_the_doctor_sees_them
    assert_equal "warning", finding.fetch(:level)
    assert_match(/schedule #{name} made no task at .*: .*linear/, finding.fetch(:detail))
    assert_equal 1, cli("health").first
  ensure
    client.drop_schedule("nightly", namespace: namespace)
  end

  def test_doctor_finds_an_old_snapshot
    old = another_connection
    old.query("BEGIN")
    old.query("SELECT pg_current_xact_id()")
    doctor = TaskerCore::CLI::Doctor.new(TaskerCore::Operator.new(client))
    with_constant(TaskerCore::CLI::Doctor, :OLD_TRANSACTION, 0) do
      finding = doctor.findings.find { |candidate| candidate.fetch(:check) == :oldest_snapshot }
      assert_equal "problem", finding.fetch(:level)
      assert_match(/pg_terminate_backend|end it|PREPARED/, finding.fetch(:remedy))
    end
  ensure
    old&.query("ROLLBACK")
  end

  def test_doctor_finds_sql_steps_that_nobody_runs
    role = connection.query("SELECT current_user::text AS role").first.fetch(:role)
    client.register_task_template({ name: "nightly", namespace: namespace, steps: [{ name: "s", handler: { sql: "pg_catalog.jsonb_concat" } }] })
    client.create_task("nightly", namespace: namespace)
    doctor = TaskerCore::CLI::Doctor.new(TaskerCore::Operator.new(client))
    sql_steps = -> { doctor.findings.find { |finding| finding.fetch(:check) == :sql_steps } }
    assert_equal "ok", sql_steps.call.fetch(:level)
    connection.query("UPDATE tasker.step_queue SET visible_at = visible_at - interval '2 minutes' WHERE task_id = (SELECT max(task_id) FROM tasker.tasks)")
    assert_equal "warning", sql_steps.call.fetch(:level)
    assert_includes sql_steps.call.fetch(:detail), "1 of role #{role}"
  end

  def test_doctor_under_a_role_without_rights
    role = "tasker_nobody_#{SecureRandom.hex(4)}"
    connection.query("CREATE ROLE #{role}")
    connection.query("SET ROLE #{role}")
    findings = TaskerCore::CLI::Doctor.new(TaskerCore::Operator.new(client)).findings
    assert_equal "warning", findings.find { |finding| finding[:check] == :invariants }[:level]
    assert_match(/could not look/, findings.find { |finding| finding[:check] == :work }[:detail])
  ensure
    connection.query("RESET ROLE")
    connection.query("DROP ROLE IF EXISTS #{role}")
  end

  def test_maintenance
    status, done = json("maintenance", "--max-items", "10")
    assert_equal 0, status
    assert_equal 0, done.fetch("stale_tasks_failed")
  end

  private

  def with_constant(owner, name, value)
    before = owner.send(:remove_const, name)
    owner.const_set(name, value)
    yield
  ensure
    owner.send(:remove_const, name)
    owner.const_set(name, before)
  end
end
