# frozen_string_literal: true

require "test_helper"
require "tasker_core/test_helpers"

class TestHelpersTest < UnitTest
  include TaskerCore::TestHelpers

  class Price < TaskerCore::StepHandler::Base
    def process(task, sequence, step)
      raise TaskerCore::PermanentError.new("no items", error_code: "EMPTY") if task.context["items"].empty?

      { total: task.context["items"].sum + sequence.results_of("fees")["fee"] + config["base"], on: step.attempt }
    end

    def process_results(_step, output, _initial = nil) = output.merge(shaped: true)
  end

  def test_a_step_without_a_database
    result = process_step(Price, context: { items: [1, 2] }, dependencies: { fees: { fee: 3 } }, config: { base: 4 },
                                 attempt: 2)
    assert_equal({ "total" => 10, "on" => 2, "shaped" => true }, result)
    assert_predicate result, :frozen?
    error = assert_raises(TaskerCore::PermanentError) { process_step(Price, context: { items: [] }) }
    assert_equal "EMPTY", error.error_code
    assert_raises(KeyError) { process_step(Price, context: { items: [1] }) }
  end

  def test_blocks_and_objects
    assert_equal 1, process_step(->(task, _sequence, _step) { task.context["a"] }, context: { a: 1 })
    assert_equal ["p"], process_step(TestSupport::Echo.new, dependencies: { p: nil })["parents"]
    assert_raises(TaskerCore::HandlerNotFound) { process_step(Object.new) }
  end

  def test_what_could_not_be_stored_is_refused
    assert_raises(TaskerCore::SerializationError) { process_step(->(*) { Float::NAN }) }
    assert_raises(FrozenError) { process_step(->(task, *) { task.context["a"] << 1 }, context: { a: [] }) }
  end

  def test_not_in_production
    ENV["TASKER_ENV"] = "production"
    assert_raises(TaskerCore::ConfigurationError) { Class.new { include TaskerCore::TestHelpers } }
  ensure
    ENV.delete("TASKER_ENV")
  end

  def test_patterns
    TaskerCore::Factory::PATTERNS.each do |pattern, steps|
      template = TaskerCore::Factory.template(pattern, script: { steps.keys.first => { fail: 1 } })
      assert_equal steps.keys.map(&:to_s), template[:steps].map { |step| step[:name] }
      assert_equal({ fail: 1 }, template[:steps].first[:handler][:initialization])
      assert_equal steps.size, TaskerCore::TaskHandler::Base.new(config: template).step_handlers.size
    end
    assert_raises(ArgumentError) { TaskerCore::Factory.template(:circle) }
    assert_raises(ArgumentError) { TaskerCore::Factory.template(:linear, script: { nope: {} }) }
    refute_equal(*Array.new(2) { TaskerCore::Factory.template[:name] })
  end
end
