# frozen_string_literal: true

require "test_helper"
require "rbconfig"
require "tempfile"

# Real processes, real signals.
class ProcessTest < DatabaseTest
  ROOT = File.expand_path("../..", __dir__)
  COMMAND = [RbConfig.ruby, "-w", "-I", File.join(ROOT, "lib"), File.join(ROOT, "exe/tasker")].freeze
  APPLICATION = File.join(ROOT, "test/fixtures/app.rb")

  def setup
    super
    @pids = []
    @logs = []
    create_ledger
  end

  def teardown
    @pids&.each do |pid|
      Process.kill(:KILL, pid)
      Process.wait(pid)
    rescue Errno::ESRCH, Errno::ECHILD
      nil
    end
    super
  end

  # @return [Integer] pid
  def spawn_worker(*options)
    log = Tempfile.new("worker").tap { |file| @logs << file }
    pid = Process.spawn({ "TEST_NAMESPACE" => namespace }, *COMMAND, "worker", "--url", URL, "-r", APPLICATION,
                        "-c", "2", "-i", "0.2", *options, %i[out err] => log.path)
    @pids << pid
    eventually(20, -> { logs }) { File.read(log.path).include?("worker starts") }
    pid
  end

  def logs = @logs.map { |file| File.read(file.path) }.join("\n")

  # @return [Integer] exit status
  def status_of(pid)
    status = nil
    eventually(20, -> { logs }) { (_, status = Process.wait2(pid, Process::WNOHANG)) && status }
    @pids.delete(pid)
    status.exitstatus || -status.termsig
  end

  def start_step(context)
    create(name: "slow", context: context).tap { |task_id| await_states(task_id, "in_progress") }
  end

  def await_states(task_id, state)
    eventually(20, -> { logs }) { step_states(task_id) == { "one" => state } }
  end

  def test_term_lets_the_running_step_finish
    pid = spawn_worker
    task_id = start_step({ "seconds" => 1 })
    Process.kill(:TERM, pid)
    assert_equal 0, status_of(pid), logs
    assert_equal({ "one" => "complete" }, step_states(task_id))
    assert_match(/worker stopped/, logs)
    refute_match(/warn/i, logs)
  end

  def test_term_wakes_an_idle_worker_at_once
    pid = spawn_worker("-i", "60")
    sleep(0.5) # it waits by now
    started = monotonic
    Process.kill(:TERM, pid)
    assert_equal 0, status_of(pid)
    assert_operator monotonic - started, :<, 2
  end

  def test_term_gives_back_what_does_not_finish_in_time
    pid = spawn_worker("--shutdown-timeout", "0.3", "--lease", "60")
    task_id = start_step({ "seconds" => 60 })
    started = monotonic
    Process.kill(:TERM, pid)
    assert_equal 1, status_of(pid), logs
    assert_operator monotonic - started, :<, 5
    assert_equal({ "one" => "pending" }, step_states(task_id))
    assert_equal 0, client.get_step_readiness_status(task_id).first.attempts
    assert_empty client.verify_task(task_id)
  end

  def test_quit_and_a_second_term_do_not_wait
    [%i[QUIT], %i[TERM INT]].each do |signals|
      pid = spawn_worker("--shutdown-timeout", "60", "--lease", "60")
      task_id = start_step({ "seconds" => 60 })
      started = monotonic
      signals.each { |signal| Process.kill(signal, pid) && sleep(0.1) }
      assert_equal 1, status_of(pid), logs
      assert_operator monotonic - started, :<, 5
      assert_equal({ "one" => "pending" }, step_states(task_id))
      client.cancel_task(task_id)
    end
  end

  def test_another_worker_finishes_what_a_killed_one_began
    pid = spawn_worker("--lease", "1")
    task_id = start_step({ "seconds" => 3 })
    Process.kill(:KILL, pid)
    assert_equal(-9, status_of(pid))
    second = spawn_worker("--lease", "10")
    await_states(task_id, "complete")
    assert_equal 2, results_of(task_id, "one")
    Process.kill(:TERM, second)
    assert_equal 0, status_of(second)
    assert_empty client.verify_task(task_id)
  end

  def test_writes_of_a_killed_worker_are_gone_and_made_once
    pid = spawn_worker("--lease", "1")
    task_id = create(name: "slow", context: { "transaction" => true, "seconds" => 30 })
    eventually(20, -> { logs }) { transaction_open? }
    Process.kill(:KILL, pid)
    status_of(pid)
    spawn_worker
    await_states(task_id, "complete")
    assert_equal ["attempt 2"], ledger
    assert_empty client.verify_task(task_id)
  end

  # @return [Boolean] whether a worker waits inside a transaction
  def transaction_open?
    connection.query("SELECT 1 AS one FROM pg_stat_activity WHERE application_name = 'tasker_core' " \
                     "AND datname = current_database() AND state = 'idle in transaction'").any?
  end

  def test_max_steps
    pid = spawn_worker("--max-steps", "1", "--log-format", "json")
    task_id = create(name: "slow", context: { "seconds" => 0 })
    assert_equal 0, status_of(pid), logs
    assert_equal({ "one" => "complete" }, step_states(task_id))
    lines = logs.lines.map { |line| JSON.parse(line) }
    assert_equal(["worker starts", "step completed", "worker stopped"], lines.map { |line| line["message"] })
    assert_equal ["#{namespace}/slow", "one", 1], lines[1].values_at("task", "step", "attempt")
  end

  def run_command(*arguments)
    out = Tempfile.new("out").tap { |file| @logs << file }
    pid = Process.spawn({ "TEST_NAMESPACE" => namespace }, *COMMAND, *arguments, %i[out err] => out.path)
    [status_of(pid), File.read(out.path)]
  end

  def test_check_and_register
    status, output = run_command("check", "--url", URL, "-r", APPLICATION)
    assert_equal 0, status, output
    assert_match(%r{extension +1\..*\ntemplate +#{namespace}/slow 1\.0\.0: 1 handlers}, output)
    file = Tempfile.new(["x", ".yml"])
    file.write(definition(name: "filed", namespace: namespace, steps: { one: [] }, colour: "red").to_yaml)
    file.close
    status, output = run_command("register", "--url", URL, file.path)
    assert_equal 0, status, output
    assert_match(%r{#{namespace}/filed 1\.0\.0: registered \(id \d+\)}, output)
    assert_match(/warning: colour/, output)
    assert_match(/unchanged/, run_command("register", "--url", URL, file.path).last)
    File.write(file.path, definition(name: "filed", namespace: namespace, steps: { two: [] }).to_yaml)
    status, output = run_command("register", "--url", URL, file.path)
    assert_equal 2, status
    assert_match(/DETAIL/, output)
  end

  def test_a_template_in_conflict_with_the_registered_one
    client.register_task_template(definition(name: "slow", namespace: namespace, steps: { other: [] }))
    status, output = run_command("worker", "--url", URL, "-r", APPLICATION)
    assert_equal 2, status
    assert_match(/registered with other content/, output)
  end

  def test_no_database_at_the_start
    status, output = run_command("worker", "--url", "postgresql:///x?host=/nonexistent", "-r", APPLICATION)
    assert_equal 4, status, output
  end
end
