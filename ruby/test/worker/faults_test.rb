# frozen_string_literal: true

require "test_helper"
require "support/worker_case"
require "support/proxy"

# What breaks, and what has to go on.
class FaultsTest < WorkerTest
  # The worker's sessions are told from the test's by their name.
  def worker_url
    options = PG::Connection.conninfo_parse(URL).to_h { |option| [option[:keyword].to_sym, option[:val]] }.compact
    { **options, application_name: namespace }
  end

  # @return [Array<Integer>] backends of the worker
  def backends(query: "%", waiting: false)
    sql = +"SELECT pid FROM pg_stat_activity WHERE application_name = $1::text AND query LIKE $2::text"
    sql << " AND wait_event_type = 'Lock'" if waiting
    (@observer ||= another_connection).query(sql, [namespace, query]).map { |row| row.fetch(:pid) }
  end

  def kill(pids)
    refute_empty pids
    pids.each { |pid| terminate(pid) }
    eventually { (backends & pids).empty? }
  end

  def test_all_sessions_end_while_it_is_idle
    serve(one: ->(*) { true })
    worker = start(connection: worker_url, poll_interval: 600)
    eventually { hears?(worker) }
    kill(backends)
    assert_equal "complete", await_end(create), "the listener came back, and looked"
    assert_equal "complete", await_end(create)
  end

  def hears?(worker) = worker.stats[:hears_notifications]

  def test_nothing_stays_open_behind_a_worker
    serve(one: ->(_, _, step) { step.transaction { |_pg| true } })
    worker = start(connection: worker_url)
    assert_equal "complete", await_end(create)
    worker.stop
    assert_equal 0, finish(worker)
    eventually { backends.empty? }
  end

  def test_a_session_ends_in_the_middle_of_a_claim
    serve(one: ->(_, _, step) { step.attempt })
    worker = start(connection: worker_url, listen: false)
    eventually { worker.stats[:claim_calls].positive? }
    task_id = create
    another_connection.transaction do |pg|
      pg.exec("LOCK TABLE tasker.step_queue IN ACCESS EXCLUSIVE MODE")
      kill(eventually { backends(query: "%claim_steps%", waiting: true).then { |pids| pids if pids.any? } })
    end
    assert_equal "complete", await_end(task_id)
    assert_consistent task_id
  end

  def test_a_session_ends_in_the_middle_of_a_completion
    started = Queue.new
    go = Queue.new
    serve(one: ->(_, _, step) { (started << true) && go.pop && "attempt #{step.attempt}" })
    task_id = create
    start(connection: worker_url, lease: 60)
    started.pop
    another_connection.transaction do |pg|
      pg.exec("SELECT 1 FROM tasker.step_queue WHERE task_id = #{task_id} FOR UPDATE")
      go << true
      kill(eventually { backends(query: "%complete_%", waiting: true).then { |pids| pids if pids.any? } })
    end
    assert_equal "complete", await_end(task_id)
    assert_equal ["attempt 1", 1], [results_of(task_id, "one"), client.get_step_readiness_status(task_id).first.attempts]
    assert_consistent task_id
  end

  def test_the_listener_comes_back_and_loses_no_wake_up
    serve(one: ->(*) { true })
    worker = start(connection: worker_url, poll_interval: 600)
    eventually { hears?(worker) }
    kill(backends(query: "LISTEN%"))
    assert_equal "complete", await_end(create), "created while nobody listened"
    eventually { backends(query: "LISTEN%").any? }
    eventually { hears?(worker) }
    assert_equal "complete", await_end(create)
  end

  def test_the_server_is_away_for_a_while
    proxy = Proxy.new(URL)
    started = Queue.new
    go = Queue.new
    serve(one: ->(_, _, step) { (started << true) && go.pop && "attempt #{step.attempt}" })
    task_id = create
    worker = start(connection: proxy.url, lease: 60, health_port: 0)
    started.pop
    proxy.refuse
    eventually { @out.string.include?("claiming failed") }
    status = worker.instance_variable_get(:@status)
    assert_equal [503, 200], [status.page("/readyz").first, status.page("/livez").first]
    go << true # the result waits for the server, in the handler's thread
    proxy.allow
    assert_equal "complete", await_end(task_id)
    assert_equal "attempt 1", results_of(task_id, "one")
    eventually { status.page("/readyz").first == 200 }
    assert_equal 1, @out.string.scan("claiming failed").size, "an outage is told once"
    go << true
    assert_equal "complete", await_end(create)
    assert_consistent task_id
  ensure
    @workers&.each { |it, thread| it.halt && thread.join(60) }
    proxy&.close
  end
end
