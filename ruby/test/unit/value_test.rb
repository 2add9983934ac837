# frozen_string_literal: true

require "test_helper"

class ValueTest < UnitTest
  Point = TaskerCore::Value.define(:x, :y) do
    def sum = x + y
  end

  def test_instances_are_frozen_and_cannot_be_written
    point = Point.new(x: 1, y: 2)
    assert_predicate point, :frozen?
    assert_equal 3, point.sum
    refute_respond_to point, :x=
    refute_respond_to point, :[]=
    refute_respond_to point, :each
  end

  def test_is_not_taken_apart
    point = Point.new(x: 1, y: 2)
    assert_equal [point], Array(point)
    assert_equal({ x: 1, y: 2 }, point.to_h)
  end

  def test_equality_pattern_and_copy
    point = Point.new(x: 1, y: 2)
    assert_equal Point.new(x: 1, y: 2), point
    assert_equal Point.new(x: 1, y: 5), point.with(y: 5)
    matched = case point
              in { x: Integer => x } then x
              end
    assert_equal 1, matched
    assert_raises(ArgumentError) { Point.new(z: 1) }
    assert_raises(ArgumentError) { Point.new(1, 2) }
    assert_predicate point.with(y: 5), :frozen?
    assert_predicate Point.from_row({ x: 1, y: 2 }), :frozen?
  end

  def test_rows_may_have_more_columns_but_not_fewer
    point = Point.from_row({ x: +"1", y: 2, z: 3 })
    assert_equal Point.new(x: "1", y: 2), point
    assert_predicate point.x, :frozen?
    error = assert_raises(TaskerCore::IncompatibleExtension) { Point.from_row({ x: 1 }) }
    assert_match(/lacks y/, error.message)
  end

  def test_sequence_of_parents
    sequence = TaskerCore::StepSequence.new("price" => { "total" => 5 }, "check" => nil)
    assert_equal %w[price check], sequence.dependencies
    assert_equal [["price", { "total" => 5 }], ["check", nil]], sequence.steps.map { |parent| [parent.name, parent.results] }
    assert_equal 5, sequence.results_of("price")["total"]
    assert_equal 5, sequence[:price].results["total"]
    assert_nil sequence.results_of("check")
    assert_nil sequence.find_step_by_name("other")
    error = assert_raises(KeyError) { sequence.results_of("other") }
    assert_match(/no parent step other; parents: price, check/, error.message)
  end

  def test_step_outside_a_worker
    step = TaskerCore::Step.new(claim(attempt: 3, max_attempts: 3))
    assert_equal ["one", 42_000_001, true, false],
                 [step.name, step.workflow_step_id, step.last_attempt?, step.completed?]
    assert_predicate step, :frozen?
    error = assert_raises(TaskerCore::Error) { step.transaction { nil } }
    assert_match(/inside a worker/, error.message)
  end
end
