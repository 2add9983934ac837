# frozen_string_literal: true

require "test_helper"
require "support/worker_case"
require "support/proxy"

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
    assert_equal ["attempt 2"], ledger, @out.string
    assert_consistent task_id
  end

  def test_a_claim_lost_before_the_transaction
    runs = Queue.new
    serve(one: lambda { |task, _, step|
      client.cancel_task(task.task_id)
      step.transaction { |pg| (runs << true) && write_ledger(pg, "lost") }
    })
    task_id = create
    assert_equal "cancelled", run_task(task_id)
    eventually { @out.string.include?("lease lost") }
    assert_empty runs, "the block is not run in vain"
    assert_empty ledger
    assert_consistent task_id
  end

  # A claim looks for a while no further back than where it found the first row last, so it may miss one
  # that an UPDATE has put there.
  def claim_expired(task_id)
    connection.query("UPDATE tasker.step_queue SET visible_at = clock_timestamp() - interval '1 s' " \
                     "WHERE task_id = $1::bigint", [task_id.to_s])
    claim_one(worker: "another", task_id: task_id)
  end

  # The worker's heartbeats are stopped in effect by a lease far shorter than
  # its own idea of it, so another claim takes the step while the handler runs.
  def test_writes_of_a_fenced_worker_roll_back
    taken = Queue.new
    serve(one: lambda { |_, _, step|
      if step.attempt == 1
        # in one transaction, lest the worker itself take it, or renew it, in between
        connection.transaction { taken << eventually { claim_expired(step.task_id) } }
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
    eventually { @out.string.include?("what was committed stands") }
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

  # The connection breaks exactly between COMMIT and its answer, or just before.
  def lose_answer(committed)
    proxy = Proxy.new(URL)
    runs = Queue.new
    serve(one: lambda { |_, _, step|
      step.transaction do |pg|
        runs << step.attempt
        proxy.cut_next_commit(committed: committed) if step.attempt == 1
        yield pg, step
      end
    })
    task_id = create
    state = run_task(task_id, connection: proxy.url, lease: 20)
    assert_predicate proxy, :cut?
    assert_consistent task_id
    [Array.new(runs.size) { runs.pop }, ledger, state, results_of(task_id, "one")]
  ensure
    @workers.each { |worker, thread| worker.stop && thread.join(20) }
    proxy.close
  end

  def write_and_store(pg, step)
    write_ledger(pg, "attempt #{step.attempt}")
    "stored by attempt #{step.attempt}"
  end

  def test_a_commit_whose_answer_was_lost_is_asked_for_and_not_run_again
    assert_equal [[1], ["attempt 1"], "complete", "stored by attempt 1"],
                 lose_answer(true) { |pg, step| write_and_store(pg, step) }
    assert_match(/step completed/, @out.string)
    refute_match(/lease lost|step failed/, @out.string)
  end

  def test_a_commit_that_did_not_happen_runs_again
    assert_equal [[1, 2], ["attempt 2"], "complete", "stored by attempt 2"],
                 lose_answer(false) { |pg, step| write_and_store(pg, step) }
    assert_match(/step failed .*lost before the transaction committed/, @out.string, "told at once, not by the lease")
  end

  # fail! inside the transaction, too: with its answer lost it is not told twice.
  def test_a_failure_whose_commit_went_unanswered_stands
    result = lose_answer(true) do |pg, step|
      write_ledger(pg, "cleaned up by attempt #{step.attempt}")
      step.fail!(TaskerCore::PermanentError.new("never"))
    end
    assert_equal [[1], ["cleaned up by attempt 1"], "error", nil], result
  end

  def test_a_failure_that_did_not_commit_runs_again
    result = lose_answer(false) do |pg, step|
      write_ledger(pg, "cleaned up by attempt #{step.attempt}")
      step.fail!(TaskerCore::PermanentError.new("never"))
    end
    assert_equal [[1, 2], ["cleaned up by attempt 2"], "error", nil], result
  end

  def test_clean_up_and_failure_commit_together
    after = Queue.new
    serve(one: lambda { |_, _, step|
      step.transaction do |pg|
        write_ledger(pg, "cleaned up by attempt #{step.attempt}")
        step.fail!(TaskerCore::RetryableError.new("busy", retry_after: 0)) if step.attempt == 1
        step.fail!(TaskerCore::PermanentError.new("never", error_code: "E9"))
        write_ledger(pg, "never reached")
      end
      after << "never reached"
    })
    task_id = create
    assert_equal "error", run_task(task_id)
    assert_equal ["cleaned up by attempt 1", "cleaned up by attempt 2"], ledger, @out.string
    assert_empty after
    assert_equal "E9", error_of(task_id, "one")["error_code"]
    assert_equal 2, client.get_step_readiness_status(task_id).first.attempts
    assert_consistent task_id
  end

  def test_a_handler_that_rescues_its_own_failure_has_failed_all_the_same
    serve(one: lambda { |_, _, step|
      begin
        step.transaction { |_pg| step.fail!(TaskerCore::PermanentError.new("never")) }
      rescue TaskerCore::PermanentError
        "looks like a result"
      end
    })
    task_id = create
    assert_equal "error", run_task(task_id)
    assert_equal "never", error_of(task_id, "one")["message"]
  end

  def test_fail_is_refused_elsewhere
    errors = Queue.new
    serve(max_attempts: 1, one: lambda { |_, _, step|
      begin
        step.fail!(RuntimeError.new("x"))
      rescue TaskerCore::Error => e
        errors << e.message
      end
      step.transaction { |_pg| step.fail!("a string") }
    })
    task_id = create
    assert_equal "error", run_task(task_id)
    assert_match(/belongs into the block of step\.transaction/, errors.pop)
    assert_equal "ArgumentError", error_of(task_id, "one")["class"]
  end

  # The server rolls back what the dying worker began, and the step is free at once.
  def test_a_forced_shutdown_ends_the_transaction_and_gives_the_step_back
    { "in a statement" => ->(pg) { pg.exec("SELECT pg_sleep(300)") }, "between statements" => ->(_) { Queue.new.pop } }
      .each do |name, block|
        entered = Queue.new
        tag = name.split.first
        serve(name: tag, one: lambda { |_, _, step|
          step.transaction { |pg| write_ledger(pg, name) && (entered << true) && block.call(pg) }
        })
        task_id = create(name: tag)
        worker = start(shutdown_timeout: 0.2, lease: 600, namespaces: nil)
        entered.pop
        worker.stop
        assert_equal 1, finish(worker)
        assert_equal [{ "one" => "pending" }, 0],
                     [step_states(task_id), client.get_step_readiness_status(task_id).first.attempts], name
        refute_nil claim_one(task_id: task_id), name
        client.cancel_task(task_id)
      end
    assert_empty ledger
  end

  def test_a_checkpoint_commits_with_the_writes_it_stands_for
    seen = Queue.new
    serve(one: lambda { |_, _, step|
      seen << step.checkpoint
      (step.checkpoint.to_i...4).each do |n|
        raise TaskerCore::RetryableError.new("busy", retry_after: 0) if n == 2 && step.attempt == 1

        step.checkpoint { |pg| write_ledger(pg, "chunk #{n}") && (n + 1) }
      end
      step.checkpoint
    })
    task_id = create
    assert_equal "complete", run_task(task_id)
    assert_equal [nil, 2], Array.new(2) { seen.pop }
    assert_equal [["chunk 0", "chunk 1", "chunk 2", "chunk 3"], 4], [ledger, results_of(task_id, "one")]
    assert_consistent task_id
  end

  def test_a_yield_commits_with_the_writes_and_counts_no_attempt
    serve(max_attempts: 1, one: lambda { |_, _, step|
      n = step.checkpoint.to_i
      step.transaction do |pg|
        write_ledger(pg, "chunk #{n}, attempt #{step.attempt}")
        step.yield!(n + 1) if n < 3
        "done"
      end
      raise "never reached" if n < 3
    })
    task_id = create
    assert_equal "complete", run_task(task_id)
    assert_equal Array.new(4) { |n| "chunk #{n}, attempt 1" }, ledger
    assert_equal 1, client.get_step_readiness_status(task_id).first.attempts
    assert_consistent task_id
  end
end
