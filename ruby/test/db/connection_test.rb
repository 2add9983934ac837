# frozen_string_literal: true

require "test_helper"

class ConnectionTest < DatabaseTest
  def value(sql) = connection.query(sql).first.fetch(:value)

  def pid = value("SELECT pg_backend_pid() AS value")

  def test_results_by_type
    { "7::bigint" => 7, "7::int" => 7, "true" => true, "'x'::text" => "x", "NULL::bigint" => nil,
      "1.5::float8" => 1.5, "33.33::numeric" => 33.33, "'{1,NULL}'::bigint[]" => [1, nil],
      "array['a','b,c']" => ["a", "b,c"], "'{\"a\":[1]}'::jsonb" => { "a" => [1] }, "'null'::jsonb" => nil,
      "'0f0e0d0c-0000-4000-8000-000000000000'::uuid" => "0f0e0d0c-0000-4000-8000-000000000000",
      "'2024-02-29 12:00:00.123456+00'::timestamptz" => Time.utc(2024, 2, 29, 12, 0, 0, 123_456) }.each do |sql, ruby|
      assert_equal({ v: ruby }, { v: value("SELECT #{sql} AS value") }, sql)
    end
  end

  def test_deep_json_comes_back
    deep = 300.times.reduce(1) { |inner, _| [inner] }
    row = connection.query("SELECT $1::jsonb AS value", [JSON.generate(deep, max_nesting: 0)]).first
    assert_equal deep, row.fetch(:value)
  end

  def test_a_borrowed_connection_keeps_its_type_maps
    pg = PG.connect(URL)
    results = pg.type_map_for_results = PG::BasicTypeMapForResults.new(pg)
    queries = pg.type_map_for_queries = PG::BasicTypeMapForQueries.new(pg)
    assert_equal 4000, TaskerCore::Client.new(pg).calculate_backoff("exponential", 3)
    assert_same results, pg.type_map_for_results
    assert_same queries, pg.type_map_for_queries
    assert_equal "1", pg.exec("SELECT 1 AS x").first["x"].to_s
  ensure
    pg&.close
  end

  def test_nothing_depends_on_session_settings
    register(steps: { one: [] })
    connection.query("SET TimeZone = 'Asia/Kathmandu'")
    connection.query("SET standard_conforming_strings = off")
    connection.query("SET search_path = pg_catalog")
    at = Time.now.round + 3600
    task = create(run_at: at, context: { "back\\slash" => "it's" })
    assert_equal at, client.get_step_readiness_status(task).first.next_retry_at
  end

  def test_transactions_commit_roll_back_and_nest
    create_ledger
    assert_equal(:value, connection.transaction { |pg| write_ledger(pg, "kept") && :value })
    assert_raises(RuntimeError) { connection.transaction { |pg| write_ledger(pg, "lost") && raise } }
    assert_nil(connection.transaction { |pg| write_ledger(pg, "lost") && raise(TaskerCore::Rollback) })
    connection.transaction do |outer|
      connection.transaction { |inner| assert_same(outer, inner) && write_ledger(inner, "nested") }
      assert_equal PG::PQTRANS_INTRANS, outer.transaction_status
    end
    assert_raises(RuntimeError) do
      connection.transaction { connection.transaction { |pg| write_ledger(pg, "lost") } && raise }
    end
    assert_equal %w[kept nested], ledger
  end

  def leave_by_return = connection.transaction { |pg| write_ledger(pg, "lost") && (return :early) }

  def test_leaving_a_transaction_early_rolls_back_and_says_so
    create_ledger
    assert_raises(TaskerCore::TransactionAborted) { leave_by_return }
    assert_raises(TaskerCore::TransactionAborted) do
      catch(:out) { connection.transaction { |pg| write_ledger(pg, "lost") && throw(:out) } }
    end
    connection.transaction do |pg|
      write_ledger(pg, "kept")
      next
    end
    refute_predicate connection, :transaction_open?
    assert_equal ["kept"], ledger
  end

  def test_a_swallowed_error_does_not_look_like_a_commit
    create_ledger
    assert_raises(TaskerCore::TransactionAborted) do
      connection.transaction do |pg|
        write_ledger(pg, "lost")
        begin
          pg.exec("SELECT 1/0")
        rescue PG::Error
          nil
        end
      end
    end
    assert_empty ledger
  end

  def test_a_connection_that_died_while_idle_is_replaced
    before = pid
    terminate(before)
    eventually do
      another_connection.query("SELECT 1 AS one FROM pg_stat_activity WHERE pid = $1::int", [before.to_s]).empty?
    end
    refute_equal before, pid, "without an error in between"
  end

  def test_a_connection_is_not_replaced_inside_a_transaction
    assert_raises(TaskerCore::ConnectionError) do
      connection.transaction do
        terminate(pid)
        begin
          eventually { pid && nil }
        rescue TaskerCore::ConnectionError
          connection.query("SELECT 'outside the transaction'")
        end
      end
    end
    assert_equal 1, value("SELECT 1 AS value")
  end

  def test_a_connection_lost_during_commit_is_told_apart
    create_ledger
    connection.query(<<~SQL)
      CREATE OR REPLACE FUNCTION public.tasker_test_die() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$
    SQL
    error = assert_raises(TaskerCore::CommitUnknown) do
      connection.transaction do |pg|
        pg.exec("CREATE TABLE public.tasker_test_doomed (x int)")
        pg.exec("CREATE CONSTRAINT TRIGGER die AFTER INSERT ON public.tasker_test_doomed DEFERRABLE " \
                "INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.tasker_test_die()")
        pg.exec("INSERT INTO public.tasker_test_doomed VALUES (1)")
      end
    end
    assert_kind_of TaskerCore::ConnectionError, error
    assert_nil value("SELECT to_regclass('public.tasker_test_doomed')::text AS value")
  ensure
    connection.query("DROP FUNCTION IF EXISTS public.tasker_test_die()")
  end

  def test_errors_of_the_server
    error = assert_raises(TaskerCore::DatabaseError) { connection.query("SELECT 1/0") }
    assert_equal ["22012", "division by zero"], [error.sqlstate, error.message]
    assert_instance_of PG::DivisionByZero, error.cause
    assert_raises(TaskerCore::IncompatibleExtension) { connection.query("SELECT tasker.no_such_function()") }
    error = assert_raises(TaskerCore::TransientError) do
      connection.query("SET statement_timeout = 20")
      connection.query("SELECT pg_sleep(10)")
    end
    assert_predicate error, :retryable?
  end

  def test_a_fork_leaves_the_parents_session_alone
    before = pid
    child = fork do
      ok = pid != before && connection.query("SELECT 1 AS one").first == { one: 1 }
      exit!(ok ? 0 : 1)
    end
    assert_predicate Process.wait2(child).last, :success?
    child = fork { connection.query("SELECT 1") && connection.close && exit!(0) }
    assert_predicate Process.wait2(child).last, :success?
    assert_equal before, pid
  end

  def test_two_threads_take_turns
    threads = Array.new(4) { |n| Thread.new { Array.new(50) { value("SELECT #{n} AS value") }.uniq } }
    assert_equal [[0], [1], [2], [3]], threads.map(&:value)
  end
end
