# frozen_string_literal: true

require "test_helper"
require "support/worker_case"

# Every way a handler can end, and what becomes of its step; the table is in the README.
class HandlerEndsTest < WorkerTest
  # @return [Array] the task's state, attempts, and the stored error or result
  def outcome_of(max_attempts: 2, **options, &handler)
    serve(name: "after", one: ->(*) { "works" })
    serve(max_attempts: max_attempts, one: handler)
    task_id = create
    state = run_task(task_id, **options)
    assert_consistent task_id
    attempts = client.get_step_readiness_status(task_id).first.attempts
    [state, attempts, state == "complete" ? results_of(task_id, "one") : error_of(task_id, "one")]
  end

  def assert_retried(class_name, message, &handler)
    state, attempts, error = outcome_of(&handler)
    assert_equal ["error", 2, class_name], [state, attempts, error["class"]], @out.string
    assert_match(message, error["message"])
    assert_works_on
  end

  def assert_failed_for_good(code, message, &handler)
    state, attempts, error = outcome_of(&handler)
    assert_equal ["error", 1, code], [state, attempts, error["error_code"]], @out.string
    assert_match(message, error["message"])
    assert_works_on
  end

  def assert_works_on
    refute_match(/thread died/, @out.string)
    assert_equal "complete", await_end(create(name: "after"))
  end

  def test_raises = assert_retried("RuntimeError", /boom/) { raise "boom" }

  def test_raises_beyond_standard_error = assert_retried("NotImplementedError", /later/) { raise NotImplementedError, "later" }

  def test_calls_exit = assert_retried("SystemExit", /exit/) { exit }

  def test_overflows_the_stack
    assert_retried("SystemStackError", /stack level too deep/) { deeper }
  end

  def deeper = deeper + 1

  def test_throws_to_nobody = assert_retried("UncaughtThrowError", /uncaught throw :done/) { throw :done }

  def test_returns_nan = assert_failed_for_good("SERIALIZATION", /cannot be stored/) { Float::NAN }

  def test_returns_a_null_character = assert_failed_for_good("22P05", /cannot be stored/) { "\u0000" }

  def test_returns_bytes_that_are_no_text = assert_failed_for_good("SERIALIZATION", /cannot be stored/) { "\xff" }

  def test_returns_more_than_the_limit
    assert_failed_for_good("TC023", /cannot be stored: the size of results .* limit is 16777216/m) { "x" * (17 << 20) }
  end

  def test_returns_ten_megabytes
    state, _, result = outcome_of { "x" * (10 << 20) }
    assert_equal ["complete", 10 << 20], [state, result.size]
  end

  def test_returns_what_the_schema_refuses_while_others_complete
    template = definition(namespace: namespace, steps: { bad: [], good: [] })
    template["steps"].first["result_schema"] = { "type" => "object" }
    handlers = { "bad" => TestSupport::Lambda.new { 42 }, "good" => TestSupport::Lambda.new { 42 } }
    @registry.register(template, handlers: handlers)
    client.register_task_template(template)
    tasks = Array.new(20) { create }
    start(concurrency: 8)
    tasks.each do |task_id|
      assert_equal "error", await_end(task_id)
      assert_equal({ "bad" => "error", "good" => "complete" }, step_states(task_id))
      assert_equal "TC022", error_of(task_id, "bad")["error_code"]
      assert_consistent task_id
    end
  end

  def test_ends_its_thread
    serve(one: ->(_, _, step) { step.attempt < 4 ? Thread.exit : "attempt #{step.attempt}" }, max_attempts: 4)
    task_id = create
    assert_equal "complete", run_task(task_id, concurrency: 2), @out.string
    assert_equal "attempt 4", results_of(task_id, "one"), "more threads ended than there were"
    assert_match(/the handler ended its thread/, @out.string)
    refute_match(/thread died/, @out.string)
    assert_consistent task_id
  end

  def test_ends_its_thread_inside_a_transaction
    create_ledger
    serve(one: lambda { |_, _, step|
      step.transaction { |pg| write_ledger(pg, "attempt #{step.attempt}") && (Thread.exit if step.attempt == 1) }
    })
    task_id = create
    assert_equal "complete", run_task(task_id), @out.string
    assert_equal ["attempt 2"], ledger
    assert_consistent task_id
  end

  # The lease may not be extended past the step's timeout, so somebody else has it when the handler wakes up.
  def test_sleeps_past_its_lease
    template = definition(namespace: namespace, steps: { one: [] })
    template["steps"].first["timeout_seconds"] = 1
    handler = TestSupport::Lambda.new do |_, _, step|
      eventually { step.lost? } if step.attempt == 1
      "attempt #{step.attempt}"
    end
    @registry.register(template, handlers: { "one" => handler })
    client.register_task_template(template)
    task_id = create
    assert_equal "complete", run_task(task_id, lease: 1, concurrency: 2)
    eventually { @out.string.include?("lease lost, result dropped") }
    assert_equal "attempt 2", results_of(task_id, "one")
    assert_consistent task_id
  end

  # The dangerous end: the process is not worth keeping, and says so by its status.
  def test_is_interrupted
    serve(max_attempts: 1, one: ->(*) { raise Interrupt })
    task_id = create
    worker = start
    assert_equal "error", await_end(task_id)
    assert_equal 1, finish(worker)
    assert_match(/FATAL handler \d thread died error="Interrupt: Interrupt"/, @out.string)
  end
end
