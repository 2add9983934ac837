# frozen_string_literal: true

require "test_helper"
require "support/worker_case"

# step.transaction: the handler's writes and the completion are one.
class StepTransactionTest < WorkerTest
  def setup
    super
    create_ledger
  end

  def test_writes_and_completion_commit_together
    serve(one: lambda { |_, _, step|
      step.transaction { |pg| write_ledger(pg, "written") && { "rows" => 1 } }
      "what process returns afterwards is not the result"
    })
    task_id = create
    assert_equal "complete", run_task(task_id)
    assert_equal ["written"], ledger
    assert_equal({ "rows" => 1 }, results_of(task_id, "one"))
    assert_equal 1, client.get_step_readiness_status(task_id).first.attempts
    assert_consistent task_id
  end

  def test_an_exception_rolls_back_and_fails_the_step
    serve(one: lambda { |_, _, step|
      step.transaction do |pg|
        write_ledger(pg, "attempt #{step.attempt}")
        raise TaskerCore::RetryableError.new("busy", retry_after: 0) if step.attempt == 1

        "done"
      end
    })
    task_id = create
    assert_equal "complete", run_task(task_id)
    assert_equal ["attempt 2"], ledger
    assert_consistent task_id
  end

  def test_a_claim_lost_before_the_transaction
    serve(one: lambda { |task, _, step|
      client.cancel_task(task.task_id)
      step.transaction { |pg| write_ledger(pg, "lost") }
    })
    task_id = create
    assert_equal "cancelled", run_task(task_id)
    eventually { @out.string.include?("lease lost") }
    assert_empty ledger
    assert_consistent task_id
  end

  # The worker's heartbeats are stopped in effect by a lease far shorter than
  # its own idea of it, so another claim takes the step while the handler runs.
  def test_writes_of_a_fenced_worker_roll_back
    taken = Queue.new
    serve(one: lambda { |_, _, step|
      if step.attempt == 1
        connection.query("UPDATE tasker.step_queue SET visible_at = clock_timestamp() - interval '1 s' " \
                         "WHERE task_id = $1::bigint", [step.task_id.to_s])
        other = claim_one(worker: "another")
        taken << other
      end
      step.transaction { |pg| write_ledger(pg, "worker, attempt #{step.attempt}") && "worker" }
    })
    task_id = create
    start
    other = taken.pop
    eventually { @out.string.include?("lease lost") }
    connection.transaction do |pg|
      write_ledger(pg, "another, attempt #{other.attempt}")
      complete(other, "another")
    end
    assert_equal "complete", await_end(task_id)
    assert_equal ["another, attempt 2"], ledger
    assert_equal "another", results_of(task_id, "one")
    assert_consistent task_id
  end

  # The row is locked, so nobody can take the step, and other leases are renewed meanwhile.
  def test_a_transaction_longer_than_the_lease_keeps_the_step
    serve(one: lambda { |_, _, step|
      step.transaction { |pg| pg.exec("SELECT pg_sleep(2.5)") && write_ledger(pg, "long #{step.attempt}") && "long" }
    }, two: ->(_, _, step) { sleep(2.5) && step.attempt })
    task_id = create
    start(lease: 1)
    sleep(1.5)
    assert_nil claim_one(worker: "thief")
    assert_equal "complete", await_end(task_id)
    assert_equal ["long 1"], ledger
    assert_equal 1, results_of(task_id, "two"), "the other lease was renewed while the row was locked"
    assert_consistent task_id
  end

  def test_a_block_left_early_completes_nothing
    serve(max_attempts: 1, one: TestSupport::Lambda.new { |_, _, step| leave_early(step) }.method(:process))
    task_id = create
    assert_equal "error", run_task(task_id)
    assert_equal "TaskerCore::TransactionAborted", error_of(task_id, "one")["class"]
    assert_empty ledger
  end

  def leave_early(step) = step.transaction { |pg| write_ledger(pg, "lost") && (return "early") }

  def test_a_block_that_commits_itself_is_found_out
    serve(max_attempts: 1, one: ->(_, _, step) { step.transaction { |pg| pg.exec("COMMIT") && "x" } })
    task_id = create
    assert_equal "error", run_task(task_id)
    assert_equal "TaskerCore::TransactionAborted", error_of(task_id, "one")["class"]
  end

  def test_results_that_cannot_be_stored_roll_the_writes_back
    serve(one: ->(_, _, step) { step.transaction { |pg| write_ledger(pg, "lost") && Float::NAN } })
    task_id = create
    assert_equal "error", run_task(task_id)
    assert_equal 1, client.get_step_readiness_status(task_id).first.attempts
    assert_empty ledger
  end

  def test_one_transaction_an_attempt
    serve(one: lambda { |_, _, step|
      step.transaction { |pg| write_ledger(pg, "first") && 1 }
      step.transaction { |pg| write_ledger(pg, "second") && 2 }
    })
    task_id = create
    assert_equal "complete", run_task(task_id)
    eventually { @out.string.include?("the completion stands") }
    assert_equal [["first"], 1], [ledger, results_of(task_id, "one")]
  end

  def test_a_connection_lost_before_the_commit_fails_the_attempt
    serve(one: lambda { |_, _, step|
      step.transaction do |pg|
        write_ledger(pg, "attempt #{step.attempt}")
        terminate(pg.backend_pid) if step.attempt == 1
        pg.exec("SELECT 1")
        step.attempt
      end
    })
    task_id = create
    assert_equal "complete", run_task(task_id)
    assert_equal [["attempt 2"], 2], [ledger, results_of(task_id, "one")]
    assert_consistent task_id
  end

  # A stand-in for a network that fails exactly between COMMIT and its answer.
  module LostAnswer
    class << self
      attr_accessor :committed
    end

    private

    def commit(pg)
      return super if LostAnswer.committed.nil?

      committed = LostAnswer.committed
      LostAnswer.committed = nil
      pg.exec(committed ? "COMMIT" : "ROLLBACK")
      raise TaskerCore::CommitUnknown, "no answer"
    end
  end
  TaskerCore::Connection.prepend(LostAnswer)

  def lose_answer(committed)
    runs = Queue.new
    serve(one: lambda { |_, _, step|
      step.transaction do |pg|
        runs << step.attempt
        LostAnswer.committed = committed if step.attempt == 1
        write_ledger(pg, "attempt #{step.attempt}")
        "stored by attempt #{step.attempt}"
      end
    })
    task_id = create
    assert_equal "complete", run_task(task_id)
    assert_consistent task_id
    [Array.new(runs.size) { runs.pop }, ledger, results_of(task_id, "one")]
  ensure
    LostAnswer.committed = nil
  end

  def test_a_commit_whose_answer_was_lost_is_asked_for_and_not_run_again
    assert_equal [[1], ["attempt 1"], "stored by attempt 1"], lose_answer(true)
  end

  def test_a_commit_that_did_not_happen_runs_again
    assert_equal [[1, 2], ["attempt 2"], "stored by attempt 2"], lose_answer(false)
  end
end
