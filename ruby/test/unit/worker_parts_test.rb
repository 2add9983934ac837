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

  def leases(*claims)
    Worker::Leases.new.tap { |leases| leases.add(claims, 60) }
  end

  def test_leases_renew_what_is_not_lost
    leases = leases(claim(workflow_step_id: 1), claim(workflow_step_id: 2))
    before = leases.deadline(1)
    lost = leases.renewing(120) do |claims|
      assert_equal([1, 2], claims.map(&:workflow_step_id))
      [2]
    end
    assert_equal [2], lost
    assert_operator leases.deadline(1), :>, before + 30
    assert_operator leases.deadline(2), :<, before + 30
    assert_equal 0.0, leases.deadline(3)
    leases.remove(1)
    assert_equal 1, leases.size
  end

  def test_a_held_claim_is_left_alone
    leases = leases(claim(workflow_step_id: 1), claim(workflow_step_id: 2))
    leases.hold(1) do
      leases.renewing(60) { |claims| assert_equal([2], claims.map(&:workflow_step_id)) && [] }
      leases.releasing { |claims| assert_equal([2], claims.map(&:workflow_step_id)) }
    end
    leases.renewing(60) { |claims| assert_equal([1, 2], claims.map(&:workflow_step_id)) && [] }
  end

  def test_no_transaction_begins_on_a_released_claim
    leases = leases(claim(workflow_step_id: 1))
    leases.releasing { |_claims| nil }
    assert_raises(TaskerCore::LeaseLost) { leases.hold(1) { flunk } }
    assert_raises(TaskerCore::LeaseLost) { leases.hold(2) { flunk } }
  end

  def test_a_transaction_waits_for_a_renewal_under_way
    leases = leases(claim(workflow_step_id: 1))
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
    handler = Thread.new { leases.hold(1) { order << :held } }
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
  end
end
