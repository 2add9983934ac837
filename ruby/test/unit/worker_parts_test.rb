# frozen_string_literal: true

require "test_helper"

class WorkerPartsTest < UnitTest
  Worker = TaskerCore::Worker

  def test_bell_that_rang_before_the_wait
    bell = Worker::Bell.new(10)
    3.times { bell.ring }
    assert bell.wait(5)
    refute bell.wait(0.01), "rings before one wait count once"
  end

  def test_bell_wakes_a_waiting_thread
    bell = Worker::Bell.new(10)
    started = monotonic
    thread = Thread.new { bell.wait(20) }
    bell.ring
    assert thread.value
    assert_operator monotonic - started, :<, 5
  end

  def test_bell_rings_when_due_and_not_beyond_the_horizon
    bell = Worker::Bell.new(1)
    bell.ring(0.1)
    bell.ring(3600)
    refute bell.wait(0)
    assert bell.wait(5)
    refute bell.wait(0.05)
  end

  def test_mailbox
    mailbox = Worker::Mailbox.new
    assert_empty mailbox.take(0)
    mailbox.post("T")
    mailbox.post("Q")
    assert_equal %w[T Q], mailbox.take(5)
    assert_empty mailbox.take(-1)
  end

  # A claim of the step with this number; the token tells it apart from another of the same step.
  def claim_of(id, token = id) = claim(workflow_step_id: id, claim_token: token)

  def leases(*claims)
    Worker::Leases.new.tap { |leases| leases.add(claims, 60) }
  end

  def ids(claims) = claims.map(&:workflow_step_id)

  def test_leases_renew_what_is_not_lost
    one, two, other = [1, 2, 3].map { |id| claim_of(id) }
    leases = leases(one, two)
    before = leases.deadline(one)
    lost = leases.renewing(120) { |claims| assert_equal([1, 2], ids(claims)) && [2] }
    assert_equal [two], lost
    assert_operator leases.deadline(one), :>, before + 30
    assert_operator leases.deadline(two), :<, before + 30
    assert_equal 0.0, leases.deadline(other)
    assert_equal [false, true, true], [one, two, other].map { |claim| leases.lost?(claim) }
    leases.renewing(120) { |claims| assert_equal([1], ids(claims)) && [] }
    leases.remove(one)
    assert_equal 1, leases.size
  end

  def test_two_attempts_of_one_step_are_two_claims
    first, second = claim_of(1, 10), claim_of(1, 20)
    leases = leases(first)
    leases.add([second], 60)
    leases.renewing(60) { |claims| assert_equal([second], claims) && [] }
    leases.remove(first)
    assert_equal [second], leases.claims
    refute leases.lost?(second)
  end

  def test_a_held_claim_is_left_alone_until_all_are_released
    one, two = [1, 2].map { |id| claim_of(id) }
    leases = leases(one, two)
    interrupted = []
    leases.hold(one, -> { interrupted << 1 }) do
      leases.renewing(60) { |claims| assert_equal([2], ids(claims)) && [] }
      assert_empty interrupted
      leases.releasing do |claims|
        assert_equal([1, 2], ids(claims))
        assert_equal [1], interrupted, "its transaction is ended before it is given back"
      end
    end
    assert leases.lost?(two)
  end

  def test_a_claim_whose_handler_is_done_is_not_told_to_be_lost
    one = claim_of(1)
    leases = leases(one)
    leases.reporting(one)
    assert_empty(leases.renewing(60) { [1] })
  end

  def test_no_transaction_begins_on_a_released_claim
    one = claim_of(1)
    leases = leases(one)
    leases.releasing { |_claims| nil }
    assert_raises(TaskerCore::LeaseLost) { leases.hold(one, nil) { flunk } }
    assert_raises(TaskerCore::LeaseLost) { leases.hold(claim_of(2), nil) { flunk } }
  end

  def test_a_transaction_waits_for_a_renewal_under_way
    one = claim_of(1)
    leases = leases(one)
    order = Queue.new
    renewing = Queue.new
    finish = Queue.new
    heartbeat = Thread.new do
      leases.renewing(60) do
        renewing << true
        finish.pop
        order << :renewed
        []
      end
    end
    renewing.pop
    handler = Thread.new { leases.hold(one, -> {}) { order << :held } }
    eventually { handler.status == "sleep" }
    finish << true
    [heartbeat, handler].each(&:join)
    assert_equal(%i[renewed held], Array.new(2) { order.pop })
  end

  def test_backoff_doubles_to_its_limit_with_half_of_it_random
    assert_includes 0.5..1.0, TaskerCore::Backoff.delay(0)
    assert_includes 4.0..8.0, TaskerCore::Backoff.delay(3)
    assert_includes 15.0..30.0, TaskerCore::Backoff.delay(10_000)
    assert_operator Array.new(20) { TaskerCore::Backoff.delay(3) }.uniq.size, :>, 1
  end

  def test_retrying_repeats_only_what_may_pass
    attempts = 0
    value = TaskerCore::Backoff.retrying(deadline: -> { monotonic + 60 }, base: 0.001) do
      attempts += 1
      raise TaskerCore::ConnectionError if attempts < 3

      :done
    end
    assert_equal [:done, 3], [value, attempts]
    assert_raises(TaskerCore::LeaseLost) do
      TaskerCore::Backoff.retrying(deadline: -> { monotonic + 60 }) { raise TaskerCore::LeaseLost }
    end
    assert_raises(TaskerCore::ConnectionError) do
      TaskerCore::Backoff.retrying(deadline: -> { monotonic }) { raise TaskerCore::ConnectionError }
    end
  end

  def outbox(patience: 60) = Worker::Outbox.new(Worker::Bell.new(60), patience: patience)

  # @return [Thread] a handler's thread that waits for what becomes of its result
  def delivering(outbox, id, &block)
    Thread.new { outbox.deliver(claim_of(id), "result #{id}", &block) }
  end

  def test_results_wait_for_the_claimer_together
    box = outbox
    threads = [1, 2].map { |id| delivering(box, id) { flunk "the claimer takes them" } }
    items = []
    eventually { (items += box.take).size == 2 }
    assert_equal([[1, "result 1"], [2, "result 2"]],
                 items.map { |item| [item.workflow_step_id, item.results] }.sort)
    box.answer(items) { |item| item.claim_token == 1 ? :completed : nil }
    assert_equal([:completed, nil], threads.map(&:value))
    refute_predicate box, :any?
  end

  def test_who_waited_too_long_sends_all_that_wait
    box = outbox(patience: 0.05)
    sent = Queue.new
    threads = [1, 2, 3].map do |id|
      delivering(box, id) do |items|
        sent << items.size
        box.answer(items) { |item| item.workflow_step_id * 10 }
      end
    end
    assert_equal([10, 20, 30], threads.map(&:value))
    assert_equal(3, Array.new(sent.size) { sent.pop }.sum, "each was sent once")
  end

  def test_after_the_claimer_has_gone_everybody_sends_alone
    box = outbox
    waiting = delivering(box, 1) { flunk }
    eventually { box.any? }
    box.close
    assert_nil waiting.value
    assert_nil(box.deliver(claim_of(2), "x") { flunk })
    assert_empty box.take
  end

  def test_results_that_might_spoil_a_batch_travel_alone
    results = Worker::Results
    assert_predicate results.encode({ "a" => "\\u0001" }), :batchable?
    refute_predicate results.encode("\u0000"), :batchable?
    refute_predicate results.encode("x" * 70_000), :batchable?
    assert_equal '{"a":[1,null]}', JSON.generate(results.encode({ "a" => [1, nil] }))
  end

  BatchRow = Struct.new(:status, :error)

  def test_what_a_batch_says_about_its_items
    results = Worker::Results
    assert_equal :completed, results.status(nil)
    %w[completed already_completed].each { |status| assert_equal :completed, results.status(BatchRow.new(status)) }
    %w[lease_lost not_found].each do |status|
      assert_instance_of TaskerCore::LeaseLost, results.status(BatchRow.new(status))
    end
    error = { "sqlstate" => "TC022", "message" => "no match", "errors" => [{ "path" => "/a", "message" => "too small" }] }
    refused = results.status(BatchRow.new("invalid_result", error))
    assert_equal ["TC022", "results cannot be stored: no match\n/a: too small"], [refused.error_code, refused.message]
    refute_predicate refused, :retryable?
  end

  def probe(**options, &missed)
    @notified = Queue.new
    connection = Object.new
    notified = @notified
    connection.define_singleton_method(:query) { |_sql, parameters| notified << parameters }
    @out = StringIO.new
    Worker::Probe.new(connection: connection, log: TaskerCore::Log.open(@out), **options, &missed)
  end

  def test_a_probe_that_is_heard
    probe = probe { flunk }
    probe.tend
    assert_empty @notified, "not before the listener listens"
    probe.listening
    probe.tend
    channel, payload = @notified.pop
    assert_equal probe.channel, channel
    refute_predicate probe, :healthy?
    probe.heard("something else")
    refute_predicate probe, :healthy?
    probe.heard(payload)
    assert_predicate probe, :healthy?
    assert_operator probe.wait, :>, 30
    assert_empty @out.string
  end

  def test_a_probe_that_is_not_heard_warns_once_and_goes_on
    missed = 0
    probe = probe(patience: 0.01) { missed += 1 }
    probe.listening
    probe.tend
    eventually { probe.wait.zero? }
    2.times { probe.tend }
    assert_equal [1, 1], [missed, @out.string.lines.size]
    assert_match(/WARN  notifications do not arrive.*--listen-url/, @out.string)
    refute_predicate probe, :healthy?
    @notified.pop
    probe.heard(@notified.pop.last)
    assert_predicate probe, :healthy?
    assert_match(/notifications arrive again/, @out.string)
  end

  def claimer(**options)
    Worker::Claimer.new(connection: "", worker_id: "w", concurrency: 1, poll_interval: 5.0, filters: {},
                        leases: Worker::Leases.new, bell: Worker::Bell.new(60), outbox: outbox,
                        metrics: Worker::Metrics.new, log: quiet, **options)
  end

  def test_polls_become_rare_only_while_notifications_arrive
    healthy = probe.tap do |it|
      it.listening
      it.tend
      it.heard(@notified.pop.last)
    end
    { [nil, 60] => [5.0, 5.0], [healthy, 60] => [5.0, 30.0], [healthy, 20] => [5.0, 10.0], [healthy, 4] => [5.0, 5.0] }
      .each do |(probe, lease), (first, last)|
        claimer = claimer(probe: probe, lease_seconds: lease)
        assert_equal first, claimer.interval
        20.times { claimer.send(:pause) }
        assert_equal last, claimer.interval, "lease #{lease}"
      end
  end

  def test_metrics_in_the_text_format
    metrics = Worker::Metrics.new
    metrics.add(:steps_claimed, 3)
    metrics.step_ended("test/linear", "odd \"name\"\n\\", "completed", 0.02)
    metrics.step_ended("test/linear", "one", "failed", 1_000)
    text = metrics.render("threads" => ["Handler threads.", 5], "info" => ["One.", 1, { version: "1" }])
    ["# HELP tasker_worker_threads Handler threads.\n# TYPE tasker_worker_threads gauge\ntasker_worker_threads 5\n",
     "tasker_worker_info{version=\"1\"} 1\n", "# TYPE tasker_worker_steps_claimed_total counter\n",
     "tasker_worker_steps_claimed_total 3\n",
     "tasker_worker_steps_total{task=\"test/linear\",step=\"odd \\\"name\\\"\\n\\\\\",outcome=\"completed\"} 1\n",
     "tasker_worker_step_duration_seconds_bucket{task=\"test/linear\",step=\"one\",le=\"300.0\"} 0\n",
     "tasker_worker_step_duration_seconds_bucket{task=\"test/linear\",step=\"one\",le=\"+Inf\"} 1\n",
     "tasker_worker_step_duration_seconds_sum{task=\"test/linear\",step=\"one\"} 1000.0\n"].each do |part|
      assert_includes text, part
    end
    assert_equal({ "completed" => 1, "failed" => 1 }, metrics.outcomes)
    text.each_line { |line| assert_match(/\A(# (HELP|TYPE) \w+ .+|[a-z_]+(\{.*\})? [0-9.]+)\n\z/, line) }
  end

  def get(port, request = "GET /livez HTTP/1.1\r\n\r\n")
    socket = TCPSocket.new("127.0.0.1", port)
    socket.write(request)
    socket.read
  ensure
    socket.close
  end

  def test_health_server
    server = Worker::HealthServer.new(host: "127.0.0.1", port: 0, log: quiet) do |path|
      [503, "text/plain", "no\n"] if path == "/readyz"
    end.start
    assert_match(%r{\AHTTP/1\.1 503 .*Content-Length: 3\r\n.*\r\n\r\nno\n\z}m,
                 get(server.port, "GET /readyz?x=1 HTTP/1.1\r\nHost: x\r\n\r\n"))
    assert_match(/\AHTTP.1.1 503 .*\r\n\r\n\z/m, get(server.port, "HEAD /readyz HTTP/1.1\r\n\r\n"))
    assert_match(/ 404 /, get(server.port))
    assert_match(/ 405 /, get(server.port, "POST /readyz HTTP/1.1\r\n\r\n"))
    assert_match(/ 400 /, get(server.port, "\x16\x03\r\n\r\n"))
    silent = TCPSocket.new("127.0.0.1", server.port)
    assert_match(/ 404 /, get(server.port), "a client that says nothing does not block others for long")
    silent.close
    error = assert_raises(TaskerCore::ConfigurationError) do
      Worker::HealthServer.new(host: "127.0.0.1", port: server.port, log: quiet)
    end
    assert_match(/health port 127\.0\.0\.1:#{server.port}/, error.message)
  ensure
    server&.stop
  end

  def report(error) = Worker::FailureReport.of(error)

  def raised(error)
    raise error
  rescue StandardError => e
    e
  end

  def test_failure_report_is_bounded_and_storable
    error = raised(TaskerCore::PermanentError.new("\xff\0" + ("é" * 5000), error_code: "E1",
                                                                           context: { "a" => "b" }))
    error.set_backtrace(Array.new(200) { "line" * 500 })
    report = report(error)
    assert_equal ["TaskerCore::PermanentError", "E1", { "a" => "b" }], report.values_at(:class, :error_code, :context)
    assert_operator report[:message].bytesize, :<=, 2048
    assert_predicate report[:message], :valid_encoding?
    refute_includes report[:message], "\0"
    assert_equal 50, report[:backtrace].size
    assert_operator report[:backtrace].first.bytesize, :<=, 500
    assert JSON.generate(report)
  end

  def test_failure_report_of_an_unstorable_context
    [{ "x" => Float::NAN }, { "x" => "a\0b" }].each do |context|
      report = report(raised(TaskerCore::RetryableError.new("busy", context: context)))
      assert_equal ["unstorable"], report[:context].keys
      refute_includes report[:context]["unstorable"], "\0"
    end
  end

  def test_failure_report_of_any_exception
    report = report(raised(NoMethodError.new("undefined method `x' for nil:NilClass")))
    assert_equal %i[class message backtrace], report.keys
    assert_equal "undefined method `x' for nil:NilClass", report[:message]
    assert_equal 1, report(RuntimeError.new("never raised"))[:message].lines.size
  end

  def test_what_may_be_tried_again
    reports = Worker::FailureReport
    assert reports.retryable?(RuntimeError.new)
    assert reports.retryable?(TaskerCore::RetryableError.new)
    refute reports.retryable?(TaskerCore::ValidationError.new)
    refute reports.retryable?(TaskerCore::SerializationError.new)
    assert_equal 9, reports.retry_after(TaskerCore::NetworkError.new("x", retry_after: 9))
    assert_nil reports.retry_after(RuntimeError.new)
  end

  def test_worker_options_are_checked_before_anything_starts
    empty = TaskerCore::Registry.new
    assert_raises(TaskerCore::ConfigurationError) { Worker.new(connection: "", registry: empty, log: quiet) }
    registry = TaskerCore::Registry.new
    registry.register(definition(steps: { one: [] }))
    { concurrency: 0, lease: 0, poll_interval: -1, max_steps: 0, namespaces: ["other"] }.each do |name, value|
      assert_raises(TaskerCore::ConfigurationError, name) do
        Worker.new(connection: "", registry: registry, log: quiet, name => value)
      end
    end
    options = { connection: "", registry: registry, concurrency: 5, log: quiet }
    assert_equal [8, 7], [Worker.new(**options).connections, Worker.new(**options, listen: false).connections]
  end

  def test_log_lines
    out = StringIO.new
    TaskerCore::Log.open(out).info("step failed", id: 42, error: "a \xff=b", at: nil, time: Time.at(0))
    assert_match(/\A\S+Z INFO  step failed id=42 error="a .=b" time=1970-01-01T00:00:00.000Z\n\z/, out.string)
    out = StringIO.new
    log = TaskerCore::Log.open(out, format: "json", level: "warn")
    log.info("hidden")
    log.warn("shown", id: 42, error: "\xff".b)
    line = JSON.parse(out.string)
    assert_equal ["warn", "shown", 42], line.values_at("level", "message", "id")
    out = StringIO.new
    TaskerCore::Log.open(out, format: "logfmt").error("step failed", id: 42, error: "a \"b\"")
    assert_match(/\Atime=\S+Z level=error msg="step failed" id=42 error="a \\"b\\""\n\z/, out.string)
  end
end
