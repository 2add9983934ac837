# frozen_string_literal: true

require "test_helper"
require "support/worker_case"
require "support/pgbouncer"

# A worker behind PgBouncer in transaction mode: a session of its own for no longer than a transaction.
class PoolerTest < WorkerTest
  POOL = 3

  def setup
    super
    skip "pgbouncer is not installed" unless PgBouncer::PATH
    create_ledger
    @bouncer = PgBouncer.new(URL, pool_size: POOL)
    eventually(90, -> { @bouncer.log }) { reachable? }
  end

  def teardown
    super
    @bouncer&.close
  end

  def reachable?
    flunk(@bouncer.log) unless @bouncer.running?
    PG.connect(@bouncer.url).close
    true
  rescue PG::Error
    false
  end

  def test_works_without_notifications_and_says_so_once
    serve(a: ->(task, *) { task.context["n"] }, b: [:a, ->(_, sequence, _) { sequence.results_of("a") + 1 }],
          c: [:a, lambda { |_, sequence, step|
            step.transaction { |pg| write_ledger(pg, "written") && (sequence.results_of("a") + 2) }
          }], d: [%i[b c], ->(_, sequence, _) { sequence.results_of("b") + sequence.results_of("c") }])
    worker = start(connection: @bouncer.url, concurrency: 4, health_port: 0)
    tasks = Array.new(10) { |n| create(context: { n: n }) }
    tasks.each_with_index do |task_id, n|
      assert_equal "complete", await_end(task_id)
      assert_equal (2 * n) + 3, results_of(task_id, "d")
      assert_consistent task_id
    end
    assert_equal ["written"] * 10, ledger
    eventually { @out.string.include?("notifications do not arrive") }
    assert_equal "complete", await_end(create(context: { n: 0 }))
    worker.stop
    assert_equal 0, finish(worker)
    assert_equal 1, @out.string.scan("notifications do not arrive").size
    refute_match(/ERROR|FATAL/, @out.string)
    assert_nothing_prepared
  end

  # As many transactions at once as there are sessions see all of them.
  def assert_nothing_prepared
    sessions = Array.new(POOL) { PG.connect(@bouncer.url) }
    sessions.each { |pg| pg.exec("BEGIN") }
    names = sessions.flat_map { |pg| pg.exec("SELECT name FROM pg_prepared_statements").column_values(0) }
    assert_equal POOL, sessions.map { |pg| pg.exec("SELECT pg_backend_pid()").getvalue(0, 0) }.uniq.size
    assert_empty names
  ensure
    sessions&.each(&:close)
  end

  def test_a_direct_connection_for_listening_hears
    serve(one: ->(*) { true })
    worker = start(connection: @bouncer.url, listen_url: URL, poll_interval: 600)
    eventually { worker.stats[:claim_calls].positive? }
    assert_equal "complete", await_end(create)
    refute_match(/notifications/, @out.string)
  end

  def test_a_forced_shutdown_reaches_through_it
    entered = Queue.new
    serve(one: ->(_, _, step) { step.transaction { |pg| write_ledger(pg, "lost") && (entered << 1) && pg.exec("SELECT pg_sleep(300)") } })
    task_id = create
    worker = start(connection: @bouncer.url, shutdown_timeout: 0.2, lease: 600)
    entered.pop
    worker.stop
    assert_equal 1, finish(worker)
    assert_equal({ "one" => "pending" }, step_states(task_id), @out.string)
    assert_empty ledger
  end

  def test_survives_its_restart
    serve(one: ->(*) { true })
    start(connection: @bouncer.url)
    assert_equal "complete", await_end(create)
    @bouncer.close
    eventually { @out.string.include?("claiming failed") }
    task_id = create
    @bouncer = PgBouncer.new(URL, pool_size: POOL)
    @workers.each { |worker, thread| worker.stop && thread.join(60) }
    start(connection: eventually { reachable? && @bouncer.url })
    assert_equal "complete", await_end(task_id)
  end
end
