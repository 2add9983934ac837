# frozen_string_literal: true

require "test_helper"

class EventsTest < DatabaseTest
  def setup
    super
    @buses = []
    @seen = Queue.new
    @errors = Queue.new
    TaskerCore.on_error = ->(error, **context) { @errors << [error, context] }
    @table = "public.tasker_test_cursors"
    TaskerCore::Events::CursorTable.new(connection, @table).create if URL
  end

  def teardown
    @buses&.each { |bus| assert bus.stop(30), "a bus does not stop" }
    TaskerCore.on_error = nil
    super
  end

  # Names of this test's events, so that those of others are not seen.
  def topic(name) = "#{namespace}.#{name}"

  def bus(**options)
    TaskerCore::Events::Bus.new(connection: URL, poll_interval: 0.2, cursor_table: @table, **options)
                           .tap { |made| @buses << made }
  end

  def publish(name, payload = {}) = client.publish_event(topic(name), payload: payload)

  def take(count) = Array.new(count) { Timeout.timeout(60) { @seen.pop } }

  def cursors = TaskerCore::Events::CursorTable.new(connection, @table)

  def test_live_subscriptions_get_what_matches_in_order
    publish("before")
    events = bus
    events.subscribe(topic("*")) { |event| @seen << event.payload["n"] }
    failed = Queue.new
    events.subscribe(topic("failed"), topic("lost")) { |event| failed << event.name }
    20.times { |n| publish("a", { n: n }) }
    publish("failed", { n: 20 })
    assert_equal((0..20).to_a, take(21))
    assert_equal topic("failed"), Timeout.timeout(60) { failed.pop }
    assert_empty failed
  end

  def test_events_of_tasks
    bus.subscribe("task.*", "step.*") { |event| @seen << event if event.task_id == @task_id }
    register(steps: { one: [] })
    connection.transaction { @task_id = create }
    complete(claim_one, 1)
    names = Timeout.timeout(60) { %w[task.completed].each_with_object([]) { |last, all| all << @seen.pop.name until all.last == last } }
    assert_equal %w[task.created task.started step.completed task.completed], names
  end

  def test_an_error_goes_to_on_error_and_nobody_else_misses_anything
    events = bus
    events.subscribe(topic("*")) { |event| raise "no #{event.payload["n"]}" if event.payload["n"].odd? }
    events.subscribe(topic("*")) { |event| @seen << event.payload["n"] }
    4.times { |n| publish("a", { n: n }) }
    assert_equal [0, 1, 2, 3], take(4)
    error, context = Timeout.timeout(60) { @errors.pop }
    assert_equal ["no 1", topic("a"), "events"], [error.message, context[:event].name, context[:component]]
    assert_equal "no 3", Timeout.timeout(60) { @errors.pop }.first.message
  end

  def test_an_on_error_that_raises_ends_nothing
    out = StringIO.new
    TaskerCore.log = TaskerCore::Log.open(out)
    TaskerCore.on_error = ->(_error, **_context) { raise "worse" }
    bus.subscribe(topic("*")) { |event| event.payload["n"].zero? ? raise("bad") : @seen << 1 }
    2.times { |n| publish("a", { n: n }) }
    take(1)
    assert_match(/on_error raised RuntimeError: worse/, out.string)
  ensure
    TaskerCore.log = nil
  end

  def test_unsubscribing
    events = bus
    first = events.subscribe(topic("*")) { @seen << :first }
    second = events.subscribe(topic("*")) { @seen << :second }
    publish("a")
    assert_equal %i[first second], take(2)
    assert first.unsubscribe(30)
    publish("a")
    assert_equal %i[second], take(1)
    assert second.unsubscribe(30)
    events.subscribe(topic("*")) { @seen << :third }
    publish("a")
    assert_equal %i[third], take(1)
    assert_empty @seen
  end

  def test_unsubscribing_from_within
    subscription = nil
    subscription = bus.subscribe(topic("*")) { @seen << subscription.unsubscribe }
    publish("a")
    assert_equal [true], take(1)
  end

  def test_without_notifications_there_is_polling
    events = TaskerCore::Events::Bus.new(connection: ConnectionLender.new, poll_interval: 0.05, cursor_table: @table)
    @buses << events
    events.subscribe(topic("*")) { @seen << 1 }
    publish("a")
    assert_equal [1], take(1)
  end

  # A pool: nothing in it says where to listen.
  class ConnectionLender
    def initialize = @pools = Hash.new { |pools, thread| pools[thread] = PG.connect(DatabaseTest::URL) }

    def with = yield(@pools[Thread.current])
  end

  def test_a_connection_that_is_killed_costs_no_event
    bus.subscribe(topic("*")) { |event| @seen << event.payload["n"] }
    publish("a", { n: 0 })
    assert_equal [0], take(1)
    connection.query("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity " \
                     "WHERE pid <> pg_backend_pid() AND query LIKE '%read_events%' AND datname = current_database()")
    3.times { |n| publish("a", { n: n + 1 }) }
    assert_equal [1, 2, 3], take(3)
  end

  def test_replay
    start = client.events_lag.head
    5.times { |n| publish("a", { n: n }) }
    eventually { client.read_events(after: start, pattern: topic("*")).size == 5 }
    events = TaskerCore::Events.replay(after: start, pattern: topic("*"), client: client)
    assert_equal [0, 1, 2, 3, 4], events.map { |event| event.payload["n"] }
    middle = events.to_a[2].cursor
    numbers = []
    last = TaskerCore::Events.replay(after: middle, pattern: topic("*"), client: client) do |event|
      numbers << event.payload["n"]
    end
    assert_equal [[3, 4], events.to_a.last.cursor], [numbers, last]
    assert_equal last, TaskerCore::Events.replay(after: last, pattern: topic("*"), client: client) { flunk }
  end

  def test_a_durable_subscription_goes_on_where_it_stopped
    first = bus
    first.subscribe(topic("*"), as: namespace) { |event| @seen << event.payload["n"] }
    3.times { |n| publish("a", { n: n }) }
    assert_equal [0, 1, 2], take(3)
    assert first.stop(30)
    2.times { |n| publish("a", { n: n + 3 }) }
    bus.subscribe(topic("*"), as: namespace) { |event| @seen << event.payload["n"] }
    assert_equal [3, 4], take(2)
    assert_empty @seen
  end

  def test_where_a_new_one_begins
    register
    publish("early")
    bus.subscribe(topic("*"), as: "#{namespace} all", from: :beginning) { |event| @seen << event.name }
    assert_equal [topic("early")], take(1)
    assert_nil cursors.fetch("#{namespace} nobody")
    assert_raises(ArgumentError) { bus.subscribe(from: :yesterday) { nil } }
    assert_raises(ArgumentError) { bus.subscribe("x") }
  end

  def test_each_event_takes_effect_exactly_once_whatever_fails
    create_ledger
    failures = Hash.new(0)
    bus.subscribe(topic("*"), as: namespace) do |event, pg|
      number = event.payload["n"]
      write_ledger(pg, format("%02d", number))
      raise "try again" if (number % 5).zero? && (failures[number] += 1) < 3
    end
    20.times { |n| publish("a", { n: n }) }
    eventually { ledger.size == 20 }
    assert_equal((0...20).map { |n| format("%02d", n) }, ledger)
    assert_equal [0, 5, 10, 15], failures.keys
    error, context = @errors.pop
    assert_equal ["try again", namespace], [error.message, context[:subscription].name]
    assert_equal topic("a"), context[:event].name
  end

  def test_two_processes_share_one_durable_subscription
    create_ledger
    2.times do
      bus.subscribe(topic("*"), as: namespace) { |event, pg| write_ledger(pg, format("%03d", event.payload["n"])) }
    end
    client.transaction { 100.times { |n| publish("a", { n: n }) } }
    100.times { |n| publish("a", { n: 100 + n }) if (n % 10).zero? }
    eventually { ledger.size >= 110 }
    assert_equal 110, ledger.uniq.size
    assert_equal 110, ledger.size
  end

  def test_a_killed_subscriber_does_nothing_twice
    create_ledger
    killed = 0
    bus.subscribe(topic("*"), as: namespace) do |event, pg|
      write_ledger(pg, event.payload["n"].to_s)
      if event.payload["n"] == 2 && (killed += 1) == 1
        terminate(pg.exec("SELECT pg_backend_pid()").getvalue(0, 0).to_i)
      end
    end
    5.times { |n| publish("a", { n: n }) }
    eventually { ledger.size >= 5 }
    assert_equal %w[0 1 2 3 4], ledger
  end

  def test_a_name_is_subscribed_once_and_needs_its_table
    events = bus
    events.subscribe(topic("*"), as: namespace) { nil }
    assert_raises(ArgumentError) { events.subscribe(topic("*"), as: namespace) { nil } }
    other = TaskerCore::Events::Bus.new(connection: URL, cursor_table: "public.no_such_table")
    @buses << other
    error = assert_raises(TaskerCore::ConfigurationError) { other.subscribe("*", as: "x") { nil } }
    assert_match(/create_cursor_table/, error.message)
  end

  def test_events_of_no_concern_are_passed_over
    cursors.add(namespace, before = client.events_lag.head)
    publish("other")
    bus(poll_interval: 0.01).subscribe(topic("mine"), as: namespace) { flunk }
    eventually { cursors.fetch(namespace) != before }
  end

  def test_the_module_keeps_one_bus
    TaskerCore.connection = URL
    TaskerCore::Events.subscribe(topic("*")) { |event| @seen << event.name }
    TaskerCore::Events.publish(topic("a"))
    assert_equal [topic("a")], take(1)
    assert TaskerCore::Events.stop(30)
    assert TaskerCore::Events.stop
  ensure
    TaskerCore.connection = nil
  end
end
