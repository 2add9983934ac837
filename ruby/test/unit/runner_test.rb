# frozen_string_literal: true

require "test_helper"

# What a worker reports for each way a handler can end; the server is played.
class RunnerTest < UnitTest
  # Answers calls with a block and remembers them.
  class FakeConnection < TaskerCore::Connection
    attr_reader :calls

    def initialize(&answer)
      super("never opened")
      @answer = answer
      @calls = []
    end

    def call(function, **arguments)
      TaskerCore::Functions.statement(function, arguments) # refuses what cannot be sent
      @calls << [function, arguments]
      @answer&.call(function, @calls.size) || DEFAULTS.fetch(function)
    end

    DEFAULTS = {
      complete_step: [{ task_id: 42, task_state: "in_progress", steps_ready: 0, status: "completed" }],
      fail_step: [{ step_state: "waiting_for_retry", next_retry_at: nil, task_state: "in_progress" }],
      release_steps: [{ release_steps: 1 }]
    }.freeze
  end

  def setup
    @out = StringIO.new
    @bell = TaskerCore::Worker::Bell.new(60)
    @metrics = TaskerCore::Worker::Metrics.new
  end

  def run_step(claimed = claim, answer: nil, lease: 60, &handler)
    registry = TaskerCore::Registry.new
    registry.register(definition(steps: { one: [] }), handlers: { "one" => TestSupport::Lambda.new(&handler) })
    leases = TaskerCore::Worker::Leases.new
    leases.add([claimed], lease)
    connection = FakeConnection.new(&answer)
    outbox = TaskerCore::Worker::Outbox.new(@bell).tap(&:close)
    TaskerCore::Worker::Runner.new(client: TaskerCore::Client.new(connection), registry: registry, leases: leases, outbox: outbox,
                                   worker_id: "w", lease_seconds: 60, metrics: @metrics,
                                   log: TaskerCore::Log.open(@out), bell: @bell, executor: @executor).run(claimed)
    connection.calls.map { |function, arguments| [function, plain(arguments)] }
  end

  # Results travel as JSON that was made once.
  def plain(arguments)
    arguments.transform_values { |value| value.respond_to?(:batchable?) ? JSON.parse(value.text) : value }
  end

  def only_call(calls)
    assert_equal 1, calls.size, calls.inspect
    calls.first
  end

  def test_what_the_handler_returns_is_the_result
    [{ "a" => 1 }, nil, false, 0, ""].each do |value|
      function, arguments = only_call(run_step { value })
      assert_equal :complete_step, function
      assert_equal({ workflow_step_id: 42_000_001, claim_token: 7, results: value }, arguments)
    end
  end

  def test_exceptions_are_reported_by_kind
    { -> { raise "boom" } => [true, nil],
      -> { raise TaskerCore::RetryableError.new("busy", retry_after: 4) } => [true, 4],
      -> { raise TaskerCore::PermanentError, "never" } => [false, nil],
      -> { raise NotImplementedError } => [true, nil],
      -> { raise SystemStackError, "deep" } => [true, nil],
      -> { exit(3) } => [true, nil] }.each do |body, (retryable, retry_after)|
      function, arguments = only_call(run_step { body.call })
      assert_equal :fail_step, function
      assert_equal [retryable, retry_after], arguments.values_at(:retryable, :retry_after_seconds)
    end
  end

  def test_an_interrupt_is_reported_and_ends_the_worker
    calls = nil
    assert_raises(Interrupt) do
      run_step(answer: ->(function, _) { (calls = function) && nil }) { raise Interrupt }
    end
    assert_equal :fail_step, calls
  end

  def test_results_that_cannot_be_stored_fail_for_good
    [Float::NAN, "\xff", { 1 => Float::INFINITY }].each do |value|
      function, arguments = only_call(run_step { value })
      assert_equal [:fail_step, false], [function, arguments[:retryable]]
      assert_match(/results cannot be stored/, arguments[:error][:message])
      assert_equal "SERIALIZATION", arguments[:error][:error_code]
    end
  end

  def test_results_the_extension_refuses_fail_for_good
    { TaskerCore::SchemaMismatch => "TC022", TaskerCore::LimitExceeded => "TC023",
      TaskerCore::SerializationError => "22P05" }.each do |error, code|
      refuse = ->(function, _) { raise error.new("no", sqlstate: code) if function == :complete_step }
      calls = run_step(answer: refuse) { "x" }
      assert_equal(%i[complete_step fail_step], calls.map(&:first))
      assert_equal [false, code], [calls[1][1][:retryable], calls[1][1][:error][:error_code]]
    end
  end

  def test_a_lost_acknowledgement_is_asked_for_again_with_the_same_token
    flaky = ->(_, count) { raise TaskerCore::ConnectionError, "gone" if count < 3 }
    calls = run_step(answer: flaky) { "x" }
    assert_equal [:complete_step] * 3, calls.map(&:first)
    assert_equal 1, calls.map(&:last).uniq.size
    assert_match(/step completed/, @out.string)
  end

  def test_completion_is_given_up_when_the_lease_ends
    calls = run_step(answer: ->(*) { raise TaskerCore::ConnectionError, "gone" }, lease: 0) { "x" }
    assert_equal([:complete_step], calls.map(&:first))
    assert_match(/could not be reported/, @out.string)
  end

  def test_a_lost_lease_is_dropped
    calls = run_step(answer: ->(*) { raise TaskerCore::LeaseLost, "step 42000001" }) { "x" }
    assert_equal([:complete_step], calls.map(&:first))
    assert_match(/WARN .*lease lost/, @out.string)
    calls = run_step(answer: ->(*) { raise TaskerCore::LeaseLost, "step 42000001" }) { raise "boom" }
    assert_equal([:fail_step], calls.map(&:first))
  end

  def test_a_step_nobody_here_knows_is_given_back
    [claim(step_name: "two"), claim(task_name: "other")].each do |unknown|
      function, arguments = only_call(run_step(unknown) { flunk })
      assert_equal :release_steps, function
      assert_equal [[42_000_001], [7]], arguments.values_at(:workflow_step_ids, :claim_tokens)
      assert_operator arguments[:delay_seconds], :>, 0
    end
  end

  def test_the_claimer_is_woken_when_something_became_ready
    run_step { "x" }
    refute @bell.wait(0)
    ready = [{ task_id: 42, task_state: "in_progress", steps_ready: 2, status: "completed" }]
    run_step(answer: ->(*) { ready }) { "x" }
    assert @bell.wait(0)
  end

  def test_the_claimer_is_woken_when_a_retry_is_due
    waiting = [{ step_state: "waiting_for_retry", next_retry_at: Time.now + 0.3, task_state: "in_progress" }]
    run_step(answer: ->(*) { waiting }) { raise "boom" }
    refute @bell.wait(0)
    assert @bell.wait(5)
  end
end
