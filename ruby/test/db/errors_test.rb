# frozen_string_literal: true

require "test_helper"

# Every SQLSTATE that has a class of its own, raised by a real call.
class ErrorsDatabaseTest < DatabaseTest
  # What this server cannot be brought to say here, and where it is.
  ELSEWHERE = { "TC090" => "tests/upgrade/upgrade.rb", "3F000" => "test/db/client_test.rb", "08" => "test/db/connection_test.rb",
                "57P" => "test/worker/faults_test.rb", "53" => "test/unit/errors_test.rb" }.freeze

  def each_state
    register
    failed = create
    claim_one.then { |held| complete(held, 1) }
    finished = create.tap { |id| client.cancel_task(id) }
    { "TC001" => -> { create(name: "none") },
      "TC002" => -> { client.cancel_task(9_000_000_000_000) },
      "TC003" => -> { client.reset_step(9_000_000_000_000_000_001) },
      "TC010" => -> { client.transition_step((failed * 1_000_000) + 1, "pending") },
      "TC011" => -> { complete(claim_one.with(claim_token: 1), 1) },
      "TC012" => -> { client.pause_task(finished) },
      "TC020" => -> { register(name: "circle", steps: { a: :b, b: :a }) },
      "TC021" => -> { register(steps: { other: [] }) },
      "TC022" => -> { register(name: "strict", input_schema: { required: ["a"] }) && create(name: "strict") },
      "TC023" => -> { claim_one(max_steps: 10_001) },
      "TC024" => -> { read_what_was_dropped },
      "22004" => -> { client.cancel_task(nil) },
      "22023" => -> { client.claim_steps(worker_id: "") },
      "22008" => -> { create(run_at: "infinity") },
      "22P02" => -> { create(correlation_id: "x") },
      "22003" => -> { client.cancel_task(10**20) },
      "22021" => -> { connection.query("SELECT convert_from('\\xff'::bytea, 'UTF8')") },
      "22P05" => -> { create(context: { a: "\u0000" }) },
      "42704" => -> { client.pause_schedule("none", namespace: namespace) },
      "42501" => -> { as_nobody { client.list_tasks } },
      "42883" => -> { connection.query("SELECT tasker.no_such_function()") },
      "54000" => -> { connection.query("SELECT repeat('x', 2000000000)") },
      "40001" => -> { update_what_another_transaction_updated },
      "40P01" => -> { deadlock },
      "55P03" => -> { lock_what_another_transaction_locked },
      "57014" => -> { in_transaction { wait_in_vain } } }
  end

  def test_every_sqlstate_is_raised_by_a_real_call
    states = each_state
    assert_equal TaskerCore::Errors::BY_SQLSTATE.keys.sort, [*states.keys, *ELSEWHERE.keys].sort
    states.each do |sqlstate, call|
      error = assert_raises(TaskerCore::Errors::BY_SQLSTATE.fetch(sqlstate), sqlstate, &call)
      assert_equal sqlstate, error.sqlstate
      refute_empty error.message
    end
    ELSEWHERE.each_value { |path| assert [path, "../#{path}"].any? { |file| File.exist?(File.expand_path("../../#{file}", __dir__)) }, path }
  end

  private

  def in_transaction
    client.transaction { yield.then { raise "nothing was raised" } }
  end

  def wait_in_vain
    connection.query("SET LOCAL statement_timeout = 10")
    connection.query("SELECT pg_sleep(60)")
  end

  # As if older events had been dropped.
  def read_what_was_dropped
    first = client.read_events(max_events: 1).first.cursor
    in_transaction do
      connection.query("DELETE FROM tasker.event_horizon")
      connection.query("INSERT INTO tasker.event_horizon (event_xact, ordinal, moved_at) VALUES (9000000000000000000, 1, now())")
      client.read_events(after: first)
    end
  end

  def as_nobody
    role = "tasker_nobody_#{SecureRandom.hex(4)}"
    connection.query("CREATE ROLE #{role}")
    connection.query("SET ROLE #{role}")
    yield
  ensure
    connection.query("RESET ROLE")
    connection.query("DROP ROLE #{role}")
  end

  def lock_what_another_transaction_locked
    create_ledger
    other = another_connection
    other.transaction do
      other.query("LOCK TABLE public.tasker_test_ledger IN SHARE MODE")
      in_transaction { connection.query("LOCK TABLE public.tasker_test_ledger IN EXCLUSIVE MODE NOWAIT") }
    end
  end

  def add_entries
    create_ledger
    %w[a b].each { |entry| connection.with { |pg| write_ledger(pg, entry) } }
  end

  def touch(on, entry)
    on.query("UPDATE public.tasker_test_ledger SET entry = entry WHERE namespace = $1::text AND entry = $2::text", [namespace, entry])
  end

  def update_what_another_transaction_updated
    add_entries
    in_transaction do
      connection.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
      ledger
      touch(another_connection, "a")
      touch(connection, "a")
    end
  end

  # One of the two is told; which one is the server's choice, so the other gives way when it is told nothing.
  def deadlock
    add_entries
    mine = Queue.new
    others = Queue.new
    threads = [[connection, %w[a b], mine, others], [another_connection, %w[b a], others, mine]].map do |session, (first, second), said, heard|
      Thread.new do
        Thread.current.report_on_exception = false
        session.transaction do
          touch(session, first)
          said << true
          heard.pop
          touch(session, second)
        end
        nil
      rescue TaskerCore::DatabaseError => e
        e
      end
    end
    raise threads.filter_map(&:value).first
  end
end
