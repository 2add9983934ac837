# frozen_string_literal: true

require "test_helper"

class EventPatternTest < UnitTest
  def match?(patterns, name) = TaskerCore::Events::Pattern.new(Array(patterns)).match?(name)

  def test_stars_stand_for_any_characters
    { "task.*" => %w[task.a task.a.b task.], "*" => ["x", ""], "*.failed" => %w[task.failed a.b.failed],
      "order.*.done" => ["order.1.done"], "a[b]?c" => ["a[b]?c"] }.each do |pattern, names|
      names.each { |name| assert match?(pattern, name), "#{pattern} #{name}" }
    end
    { "task.*" => ["task", "mytask.a"], "*.failed" => ["task.failed2"], "a?c" => ["abc"], "a.c" => ["abc"],
      "x" => ["x\ny"] }.each do |pattern, names|
      names.each { |name| refute match?(pattern, name), "#{pattern} #{name}" }
    end
  end

  def test_several_patterns
    assert match?(["a", "b.*"], "b.c")
    refute match?(["a", "b.*"], "c")
    assert match?([], "anything")
    assert_equal ["a"], TaskerCore::Events::Pattern.new(["a", "b.*"]).exact
    assert_equal "*", TaskerCore::Events::Pattern.new(["a", "b.*"]).for_server
    assert_equal "b.*", TaskerCore::Events::Pattern.new(["b.*"]).for_server
    assert_raises(ArgumentError) { TaskerCore::Events::Pattern.new([""]) }
  end
end

class SubscriberTest < UnitTest
  class Shipping < TaskerCore::Events::Subscriber
    subscribe_to "task.completed", "order.*", as: "shipping", from: :beginning
    attr_reader :seen

    def initialize = @seen = []

    def handle_task_completed(event) = seen << [:completed, event.name]

    def handle_order_shipped(event, pg) = seen << [:shipped, event.name, pg]
  end

  class Incomplete < TaskerCore::Events::Subscriber
    subscribe_to "task.completed", "task.failed"

    def handle_task_failed(_event) = nil
  end

  class Everything < Incomplete
    subscribe_to "task.completed", "*"

    def handle(event) = event.name
  end

  # Keeps what is subscribed instead of following it.
  class Desk
    attr_reader :patterns, :options, :block

    def subscribe(*patterns, **options, &block) = (@patterns, @options, @block = patterns, options, block)
  end

  def event(name)
    TaskerCore::Event.new(cursor: "1", name: name, task_id: 1, workflow_step_id: nil, payload: {},
                          occurred_at: Time.now)
  end

  def test_events_go_to_the_method_of_their_name
    subscriber = Shipping.new
    subscriber.dispatch(event("task.completed"), nil)
    subscriber.dispatch(event("order.shipped"), :pg)
    subscriber.dispatch(event("order.lost"), :pg)
    assert_equal [[:completed, "task.completed"], [:shipped, "order.shipped", :pg]], subscriber.seen
    assert_equal "x.y", Everything.new.dispatch(event("x.y"), nil)
  end

  def test_start_subscribes
    desk = Desk.new
    Shipping.start(bus: desk)
    assert_equal [["task.completed", "order.*"], { as: "shipping", from: :beginning }], [desk.patterns, desk.options]
    assert_equal [[:completed, "task.completed"]], desk.block.call(event("task.completed"), nil)
  end

  def test_events_without_a_method_are_all_named_at_the_start
    error = assert_raises(TaskerCore::HandlerNotFound) { Incomplete.start(bus: Desk.new) }
    assert_match(/no method for task.completed: define handle_task_completed/, error.message)
    Everything.start(bus: Desk.new)
    assert_raises(TaskerCore::ConfigurationError) { Class.new(TaskerCore::Events::Subscriber).start(bus: Desk.new) }
  end
end
