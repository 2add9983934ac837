# frozen_string_literal: true

require "test_helper"
require "tmpdir"

class TaskHandlerTest < UnitTest
  class Counting < TaskerCore::StepHandler::Base
    @built = 0
    class << self
      attr_accessor :built
    end

    def initialize(config:)
      super
      self.class.built += 1
    end

    def process(_task, sequence, _step) = { "limit" => config["limit"], "from" => sequence.dependencies }

    def process_results(_step, output, _initial = nil) = output.merge("shaped" => true)
  end

  class WithoutConfig
    def check(_task, _sequence, step) = step.name
  end

  module Functions
    def self.process(task, _sequence, _step) = task.context
  end

  class WrongArity
    def process(_task) = nil
  end

  class Unbuildable
    def initialize = raise("no key")
    def process(_task, _sequence, _step) = nil
  end

  def template(handlers)
    { "name" => "x", "namespace" => "test",
      "steps" => handlers.map { |name, handler| { "name" => name.to_s, "handler" => handler } } }
  end

  def run_step(handler, name)
    claimed = claim(step_name: name, dependency_results: { "p" => 1 }, task_context: { "a" => 1 })
    handler.process_step_with_handler(TaskerCore::Task.of(claimed),
                                      TaskerCore::StepSequence.new(claimed.dependency_results),
                                      TaskerCore::Step.new(claimed))
  end

  def test_builds_every_handler_once
    before = Counting.built
    handler = TaskerCore::TaskHandler::Base.new(
      config: template(a: { "callable" => Counting.name, "initialization" => { "limit" => 3 } })
    )
    2.times { assert_equal({ "limit" => 3, "from" => ["p"], "shaped" => true }, run_step(handler, "a")) }
    assert_equal before + 1, Counting.built
    assert_predicate handler.step_handlers, :frozen?
    assert_same handler.step_handlers["a"], handler.get_step_handler_from_name(:a)
    assert_nil handler.get_step_handler_from_name("b")
  end

  def test_any_object_with_the_method_will_do
    handler = TaskerCore::TaskHandler::Base.new(
      config: template(a: { "callable" => WithoutConfig.name, "method" => "check" },
                       b: { "callable" => Functions.name }, c: nil),
      handlers: { c: TestSupport::Lambda.new { |_, sequence, _| sequence.results_of("p") } }
    )
    assert_equal ["a", { "a" => 1 }, 1], [run_step(handler, "a"), run_step(handler, "b"), run_step(handler, "c")]
  end

  def test_procs_and_classes_as_handlers
    handler = TaskerCore::TaskHandler::Base.new(
      config: template(a: nil, b: nil, c: { "callable" => Counting.name, "initialization" => { "limit" => 9 } }),
      handlers: { a: ->(task, _sequence, _step) { task.context }, c: WithoutConfig.tap { |k| k.alias_method(:process, :check) } },
      blocks: { b: proc { |_task, sequence| sequence.dependencies }, c: proc { flunk } }
    )
    assert_equal [{ "a" => 1 }, ["p"], "c"], [run_step(handler, "a"), run_step(handler, "b"), run_step(handler, "c")]
    error = assert_raises(TaskerCore::HandlerNotFound) do
      TaskerCore::TaskHandler::Base.new(config: template(a: nil), handlers: { a: ->(task) { task } })
    end
    assert_match(/step a: a lambda as a handler must take/, error.message)
  end

  def test_blocks_by_step_name
    registry = TaskerCore::Registry.new
    registry.step("a") { |task, _sequence, _step| task.context }
    handler, = registry.register(template(a: nil, b: { "callable" => Counting.name }))
    assert_equal({ "a" => 1 }, run_step(handler, "a"))
    assert_instance_of Counting, handler.step_handlers["b"]
    assert_raises(TaskerCore::ConfigurationError) { registry.step(:a) { nil } }
    assert_raises(ArgumentError) { registry.step(:z) }
  end

  def test_all_faults_are_reported_together_at_once
    error = assert_raises(TaskerCore::HandlerNotFound) do
      TaskerCore::TaskHandler::Base.new(
        config: template(a: { "callable" => "No::Such" }, b: { "callable" => "lower case" }, c: {},
                         d: { "callable" => "String" }, e: { "callable" => WrongArity.name },
                         f: { "callable" => Unbuildable.name }, g: { "callable" => "X", "resolver" => "custom" },
                         h: { "callable" => Counting.name, "method" => "prozess" }, i: { "callable" => "ENV" },
                         ok: { "callable" => Counting.name }),
        handlers: { "z" => Functions }
      )
    end
    lines = error.message.lines.map(&:strip)
    assert_equal 11, lines.size, error.message
    { "a" => "class No::Such is not defined", "b" => "class lower case is not defined", "c" => "names no handler",
      "d" => "String has no public method process(task, sequence, step)",
      "e" => "TaskHandlerTest::WrongArity#process must take (task, sequence, step)",
      "f" => "TaskHandlerTest::Unbuildable cannot be built: RuntimeError: no key",
      "g" => "handler.resolver custom is not known to this client",
      "h" => "TaskHandlerTest::Counting has no public method prozess(task, sequence, step)",
      "z" => "no step of the template that a worker runs" }.each do |step, text|
      assert(lines.any? { |line| line.start_with?("step #{step}: #{text}") }, "#{step} in #{error.message}")
    end
  end

  def test_reads_one_file
    Dir.mktmpdir do |directory|
      path = File.join(directory, "x.yml")
      File.write(path, template(a: { "callable" => Counting.name }).to_yaml)
      assert_equal "test/x", TaskerCore::TaskHandler::Base.new(config_path: path).template.full_name
      File.write(File.join(directory, "y.yml"), "name: y\nsteps: []\n")
      assert_raises(TaskerCore::TemplateError) { TaskerCore::TaskHandler::Base.new(config_path: directory) }
    end
    assert_raises(ArgumentError) { TaskerCore::TaskHandler::Base.new }
  end

  def test_instances_run_with_the_handler_of_their_step
    handler = TaskerCore::TaskHandler::Base.new(
      config: template("a" => { "callable" => Counting.name }, "a_2024" => { "callable" => WithoutConfig.name,
                                                                             "method" => "check" })
    )
    { ["a[0]", {}] => "a", ["a_001", { "cursor" => {} }] => "a", ["a_2024", nil] => "a_2024",
      ["a_2024[7]", 1] => "a_2024", ["a[0]", nil] => nil, ["b[0]", 1] => nil, ["a", nil] => "a" }
      .each do |(name, inputs), expected|
        expected.nil? ? assert_nil(handler.definition_name(name, inputs), name) : assert_equal(expected, handler.definition_name(name, inputs))
      end
    claimed = claim(step_name: "a_2024[7]", inputs: { "index" => 7 })
    assert_equal "a_2024[7]", handler.process_step_with_handler(nil, nil, TaskerCore::Step.new(claimed))
  end

  def test_steps_that_no_worker_runs_need_no_handler
    steps = [{ "name" => "wait", "wait_for_signal" => { "name" => "go" } },
             { "name" => "child", "workflow" => { "name" => "y" } },
             { "name" => "insert", "handler" => { "sql" => "app.insert" } },
             { "name" => "work", "handler" => { "callable" => Counting.name } }]
    config = { "name" => "x", "namespace" => "test", "steps" => steps }
    handler = TaskerCore::TaskHandler::Base.new(config: config)
    assert_equal ["work"], handler.step_handlers.keys
    error = assert_raises(TaskerCore::HandlerNotFound) do
      TaskerCore::TaskHandler::Base.new(config: config, handlers: { "wait" => Functions })
    end
    assert_match(/step wait: no step of the template that a worker runs/, error.message)
  end

  def test_the_base_process_must_be_defined
    error = assert_raises(NotImplementedError) { TaskerCore::StepHandler::Base.new.process(nil, nil, nil) }
    assert_match(/StepHandler::Base does not define process/, error.message)
  end

  def test_registry_by_name_and_version
    registry = TaskerCore::Registry.new
    assert_empty registry
    first, = registry.register(definition(version: "1.0.0", steps: { one: [] }))
    second, = registry.register(definition(version: "2.0.0", steps: { one: [] }))
    assert_equal ["test/linear"], registry.task_names
    assert_same first, registry.fetch("test/linear", "1.0.0")
    assert_same second, registry.fetch("test/linear", "2.0.0")
    assert_same second, registry.fetch("test/linear", "0.9.0"), "an unknown version runs with the newest handlers"
    assert_nil registry.fetch("test/other")
    assert_equal 2, registry.to_a.size
  end

  def test_registry_keeps_nothing_of_a_directory_with_faults
    Dir.mktmpdir do |directory|
      File.write(File.join(directory, "a.yml"), template(a: { "callable" => Counting.name }).to_yaml)
      File.write(File.join(directory, "b.yml"), template(b: { "callable" => "Nope1" }).to_yaml)
      File.write(File.join(directory, "c.yml"), template(c: { "callable" => "Nope2" }).to_yaml)
      registry = TaskerCore::Registry.new
      error = assert_raises(TaskerCore::HandlerNotFound) { registry.register(directory) }
      assert_match(/Nope1.*Nope2/m, error.message)
      assert_empty registry
    end
  end
end
