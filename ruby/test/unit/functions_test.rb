# frozen_string_literal: true

require "test_helper"

class FunctionsTest < UnitTest
  def statement(...) = TaskerCore::Functions.statement(...)

  def test_named_notation_with_casts
    sql, parameters = statement(:cancel_task, { task_id: 42, reason: "why" })
    assert_equal "SELECT * FROM tasker.cancel_task(task_id => $1::bigint, reason => $2::text)", sql
    assert_equal %w[42 why], parameters
  end

  def test_no_arguments
    assert_equal ["SELECT * FROM tasker.library_version()", []], statement(:library_version, {})
  end

  def test_json_arguments_are_one_parameter
    _, parameters = statement(:register_task_template, { template: { value: 1, type: 2 } })
    assert_equal ['{"value":1,"type":2}'], parameters
  end

  def test_unknown_names_are_refused_before_anything_is_sent
    assert_raises(ArgumentError) { statement(:drop_everything, {}) }
    error = assert_raises(ArgumentError) { statement(:cancel_task, { task: 1 }) }
    assert_equal "cancel_task has no argument task", error.message
  end

  def test_the_argument_that_cannot_be_stored_is_named
    error = assert_raises(TaskerCore::SerializationError) do
      statement(:complete_step, { workflow_step_id: 1, claim_token: 2, results: Float::NAN })
    end
    assert_match(/\Acomplete_step, argument results: /, error.message)
    refute_nil error.hint
  end

  def test_the_table_is_frozen
    assert_predicate TaskerCore::Functions::TABLE, :frozen?
    assert(TaskerCore::Functions::TABLE.each_value.all?(&:frozen?))
  end
end
