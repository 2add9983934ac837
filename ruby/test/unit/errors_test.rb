# frozen_string_literal: true

require "test_helper"

class ErrorsTest < UnitTest
  CODES = {
    "TC001" => "TemplateNotFound", "TC002" => "TaskNotFound", "TC003" => "StepNotFound",
    "TC010" => "IllegalTransition", "TC011" => "LeaseLost", "TC012" => "TaskNotActive",
    "TC020" => "InvalidTemplate", "TC021" => "TemplateConflict", "TC022" => "SchemaMismatch",
    "TC023" => "LimitExceeded", "TC090" => "IncompatibleExtension",
    "22004" => "InvalidArgument", "22023" => "InvalidArgument", "22008" => "InvalidArgument",
    "42501" => "PermissionDenied", "54000" => "LimitExceeded", "22P05" => "SerializationError",
    "40001" => "TransientError", "40P01" => "TransientError", "55P03" => "TransientError",
    "53300" => "TransientError", "08006" => "ConnectionError", "57P01" => "ConnectionError",
    "57P03" => "ConnectionError", "57014" => "TransientError", "3F000" => "ExtensionMissing",
    "42883" => "IncompatibleExtension", "23505" => "DatabaseError", "XX000" => "DatabaseError"
  }.freeze

  def test_every_sqlstate_has_its_class
    CODES.each { |code, name| assert_equal "TaskerCore::#{name}", TaskerCore::Errors.class_for(code).name, code }
    assert_equal TaskerCore::DatabaseError, TaskerCore::Errors.class_for(nil)
  end

  def test_both_names_are_the_same_class
    assert_same TaskerCore::RetryableError, TaskerCore::Errors::RetryableError
    assert_same TaskerCore::LeaseLost, TaskerCore::Errors::LeaseLost
    raised = begin
      raise TaskerCore::RetryableError, "x"
    rescue TaskerCore::Errors::RetryableError => e
      e
    end
    assert_equal "x", raised.message
  end

  def test_everything_raised_on_purpose_has_one_root
    classes = TaskerCore.constants.map { |name| TaskerCore.const_get(name) }
                        .select { |constant| constant.is_a?(Class) && constant <= Exception }
    assert(classes.all? { |klass| klass <= TaskerCore::Error })
    assert_operator classes.size, :>=, 30
    classes.each { |klass| assert_same klass, TaskerCore::Errors.const_get(klass.name.split("::").last) }
  end

  def test_handler_errors_carry_what_the_extension_is_told
    error = TaskerCore::RetryableError.new("busy", retry_after: 7, context: { "a" => 1 })
    assert_equal [7, { "a" => 1 }, true], [error.retry_after, error.context, error.retryable?]
    error = TaskerCore::ValidationError.new("bad", field: "sku", error_code: "E1", context: { "b" => 2 })
    assert_equal ["sku", "E1", { "b" => 2 }, false],
                 [error.field, error.error_code, error.context, error.retryable?]
    error = TaskerCore::NetworkError.new("503", status_code: 503, retry_after: 1)
    assert_equal [503, 1], [error.status_code, error.retry_after]
    assert_equal 3, TaskerCore::TimeoutError.new("slow", timeout_duration: 3).timeout_duration
    assert_equal "Order", TaskerCore::NotFoundError.new("gone", resource_type: "Order").resource_type
  end

  def test_what_may_be_repeated
    assert_predicate TaskerCore::ConnectionError.new, :retryable?
    assert_predicate TaskerCore::TransientError.new, :retryable?
    refute_predicate TaskerCore::LeaseLost.new, :retryable?
    refute_predicate TaskerCore::PermanentError.new, :retryable?
  end

  def test_errors_of_a_broken_connection_need_no_sqlstate
    error = TaskerCore::Errors.translate(PG::ConnectionBad.new("server closed the connection\nmore"))
    assert_instance_of TaskerCore::ConnectionError, error
    assert_equal "server closed the connection", error.message
    assert_nil error.sqlstate
  end

  def test_explanation_has_detail_and_hint
    error = TaskerCore::DatabaseError.new("no", detail: "step 1", hint: "do it")
    assert_equal "no\nDETAIL: step 1\nHINT: do it", error.explanation
    assert_equal "no", TaskerCore::DatabaseError.new("no").explanation
  end
end
