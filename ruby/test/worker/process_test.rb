# frozen_string_literal: true

require "test_helper"
require "rbconfig"
require "socket"
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
  def spawn_worker(*options, url: APPLICATION_URL)
    log = Tempfile.new("worker").tap { |file| @logs << file }
    pid = spawn_command("worker", "--url", url, "-r", APPLICATION, "-c", "2", "-i", "0.2", *options, to: log)
    eventually(90, -> { logs }) { File.read(log.path).include?("worker starts") }
    pid
  end

  # A shell without job control lets its background jobs ignore interrupts, and
  # children inherit that.
  def spawn_command(*arguments, to:, ignoring: nil)
    inherited = %w[INT QUIT TERM].to_h { |signal| [signal, trap(signal, signal == ignoring ? "IGNORE" : "DEFAULT")] }
    pid = Process.spawn({ "TEST_NAMESPACE" => namespace }, *COMMAND, *arguments, %i[out err] => to.path)
    @pids << pid
    pid
  ensure
    inherited&.each { |signal, handler| trap(signal, handler || "DEFAULT") }
  end

  def logs = @logs.map { |file| File.read(file.path) }.join("\n")

  # @return [Integer] exit status
  def status_of(pid)
    status = nil
    eventually(90, -> { logs }) { (_, status = Process.wait2(pid, Process::WNOHANG)) && status }
    @pids.delete(pid)
    status.exitstatus || -status.termsig
  end

  # A claim that is on its way when a worker is stopped is given back; so the handler has to run.
  def start_step(context)
    create(name: "slow", context: { **context, "tell" => true }).tap do |task_id|
      eventually(90, -> { logs }) { logs.include?("step #{task_id}000001 begins") }
    end
  end

  def await_states(task_id, state)
    eventually(90, -> { logs }) { step_states(task_id) == { "one" => state } }
  end

  def test_term_lets_the_running_step_finish
    pid = spawn_worker
    task_id = start_step({ "seconds" => 1 })
    Process.kill(:TERM, pid)
    assert_equal 0, status_of(pid), logs
    assert_equal({ "one" => "complete" }, step_states(task_id))
    assert_match(/worker stopped/, logs)
    refute_match(/WARN|ERROR|FATAL/, logs)
  end

  def test_term_wakes_an_idle_worker_at_once
    pid = spawn_worker("-i", "600")
    started = monotonic
    Process.kill(:TERM, pid)
    assert_equal 0, status_of(pid)
    assert_operator monotonic - started, :<, 60
  end

  def test_term_gives_back_what_does_not_finish_in_time
    pid = spawn_worker("--shutdown-timeout", "0.3", "--lease", "600")
    task_id = start_step({ "seconds" => 600 })
    started = monotonic
    Process.kill(:TERM, pid)
    assert_equal 1, status_of(pid), logs
    assert_operator monotonic - started, :<, 60
    assert_equal({ "one" => "pending" }, step_states(task_id))
    assert_equal 0, client.get_step_readiness_status(task_id).first.attempts
    assert_empty client.verify_task(task_id)
  end

  def test_quit_and_a_second_term_do_not_wait
    [%i[QUIT], %i[TERM INT], %i[INT TERM]].each do |first, second|
      pid = spawn_worker("--shutdown-timeout", "600", "--lease", "600")
      task_id = start_step({ "seconds" => 600 })
      started = monotonic
      Process.kill(first, pid)
      if second # a signal is not queued, so the first one has to arrive
        eventually { File.read(@logs.last.path).include?("stopping") }
        Process.kill(second, pid)
      end
      assert_equal 1, status_of(pid), logs
      assert_operator monotonic - started, :<, 60
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

  # A process that stands still sends no heartbeats; when it goes on, its step is somebody else's.
  def test_a_worker_that_was_frozen_past_its_lease_changes_nothing
    frozen = spawn_worker("--lease", "1")
    task_id = start_step({ "seconds" => 1 })
    Process.kill(:STOP, frozen)
    second = spawn_worker("--lease", "60")
    await_states(task_id, "complete")
    Process.kill(:CONT, frozen)
    eventually(90, -> { logs }) { File.read(@logs.first.path).match?(/lease lost, \w+ dropped/) }
    assert_equal 2, results_of(task_id, "one")
    assert_empty client.verify_task(task_id)
    [frozen, second].each do |pid|
      Process.kill(:TERM, pid)
      assert_equal 0, status_of(pid), logs
    end
  end

  def test_writes_of_a_killed_worker_are_gone_and_made_once
    pid = spawn_worker("--lease", "1")
    task_id = create(name: "slow", context: { "transaction" => true, "seconds" => 30 })
    eventually(90, -> { logs }) { transaction_open? }
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

  def test_interrupts_are_obeyed_though_the_parent_ignores_them
    log = Tempfile.new("worker").tap { |file| @logs << file }
    pid = spawn_command("worker", "--url", URL, "-r", APPLICATION, "-i", "600", to: log, ignoring: "INT")
    eventually(90, -> { logs }) { File.read(log.path).include?("worker starts") }
    Process.kill(:INT, pid)
    assert_equal 0, status_of(pid), logs
  end

  def get(port, path)
    socket = TCPSocket.new("127.0.0.1", port)
    socket.write("GET #{path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
    socket.read
  ensure
    socket&.close
  end

  def test_health_endpoint_and_thread_dump
    pid = spawn_worker("--health-port", "0", "--log-format", "logfmt", "--shutdown-timeout", "600")
    port = Integer(logs[/health_port=(\d+)/, 1])
    eventually(90, -> { logs }) { get(port, "/readyz").include?(" 200 OK") }
    assert_match(/\r\n\r\nok\n\z/, get(port, "/livez"))
    task_id = create(name: "slow", context: { "seconds" => 0 })
    await_states(task_id, "complete")
    eventually { get(port, "/metrics").include?("outcome=\"completed\"} 1\n") }
    assert_match(/^tasker_worker_hears_notifications 1$/, eventually { (m = get(port, "/metrics")) && m[/.*hears_n\w+ 1$/] && m })
    long = start_step({ "seconds" => 600 })
    Process.kill(:TTIN, pid)
    eventually(90, -> { logs }) { logs.include?("msg=thread thread=\"tasker claimer\"") }
    assert_match(/msg=running steps=one\(#{long}000001\)/, logs)
    assert_match(/msg=thread thread="tasker handler \d" status=\S+ at="[^\n]*app\.rb:\d+:in `wait'/, logs)
    Process.kill(:TERM, pid)
    eventually { get(port, "/readyz").include?("stopping") }
    assert_match(/ 200 OK/, get(port, "/livez"), "stopping is no reason to be killed")
    Process.kill(:TERM, pid)
    assert_equal 1, status_of(pid), logs
  end

  def test_a_health_port_that_is_taken
    server = TCPServer.new("127.0.0.1", 0)
    status, output = run_command("worker", "--url", URL, "-r", APPLICATION, "--health-port",
                                 server.local_address.ip_port.to_s)
    assert_equal 2, status
    assert_match(/tasker: health port 127\.0\.0\.1:\d+: Address already in use/, output)
  ensure
    server.close
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
    [status_of(spawn_command(*arguments, to: out)), File.read(out.path)]
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
