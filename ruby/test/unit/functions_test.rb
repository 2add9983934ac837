# frozen_string_literal: true

require "test_helper"

class FunctionsTest < UnitTest
  def statement(...) = TaskerCore::Functions.statement(...)

  def test_named_notation_with_casts
    sql, parameters = statement(:cancel_task, { task_id: 42, reason: "why" })
    assert_equal "SELECT * FROM tasker.cancel_task(task_id => $1::bigint, reason => $2::text)", sql
    assert_equal %w[42 why], parameters
  end

  def test_the_text_of_a_statement_is_made_once
    first, = statement(:cancel_task, { task_id: 1, reason: "a" })
    again, = statement(:cancel_task, { task_id: 2, reason: "b" })
    assert_same first, again
    assert_equal [first, %w[1 a]], statement(:cancel_task, { reason: "a", task_id: 1 })
    assert_equal "SELECT * FROM tasker.cancel_task(task_id => $1::bigint)", statement(:cancel_task, { task_id: 1 }).first
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

  def test_methods_are_real_ones
    create = TaskerCore::Client.instance_method(:create_task).parameters
    assert_equal [%i[req name], %i[key context], %i[key namespace]], create.first(3)
    assert_equal [%i[keyreq workflow_step_id], %i[keyreq claim_token], %i[keyreq results]],
                 TaskerCore::Client.instance_method(:complete_step).parameters
  end

  # Answers every call with rows, and notes what was asked.
  class Canned
    attr_reader :asked

    def initialize(*rows) = @rows = rows

    def with_connection = raise(NotImplementedError)

    def client
      connection = TaskerCore::Connection.wrap(self)
      rows = @rows
      asked = @asked = []
      connection.define_singleton_method(:call) { |name, **arguments| asked.push(name, arguments) && rows }
      TaskerCore::Client.new(connection)
    end
  end

  def test_answers
    assert_equal 4, Canned.new({ retry_task: 4 }).client.retry_task(1)
    assert_equal [1, 2], Canned.new({ id: 1 }, { id: 2 })
                               .client.heartbeat(worker_id: "w", workflow_step_ids: [], claim_tokens: [])
    assert_nil Canned.new.client.get_task_execution_context(1)
    assert_equal [TaskerCore::Explanation.new(reason: "a", detail: "b")],
                 Canned.new({ reason: "a", detail: "b", newer: 1 }).client.explain_step(1)
  end

  def test_what_is_nil_is_not_sent_unless_it_is_required
    canned = Canned.new({ task_id: 1, task_state: "complete", steps_ready: 0, status: "completed" })
    canned.client.complete_step(workflow_step_id: 1, claim_token: 2, results: nil)
    assert_equal [:complete_step, { workflow_step_id: 1, claim_token: 2, results: nil }], canned.asked
    canned = Canned.new({ checkpoint_step: true })
    canned.client.checkpoint_step(workflow_step_id: 1, claim_token: 2, checkpoint: nil, yield: true)
    assert_equal({ workflow_step_id: 1, claim_token: 2, checkpoint: nil, yield: true }, canned.asked.last)
    canned.client.checkpoint_step(workflow_step_id: 1, claim_token: 2, checkpoint: 3)
    refute canned.asked.last.key?(:yield)
  end

  def test_a_template_is_its_definition
    template = TaskerCore::Template.new({ name: "x", steps: [] })
    _, parameters = statement(:register_task_template, { template: template })
    assert_equal ['{"name":"x","steps":[]}'], parameters
  end
end
