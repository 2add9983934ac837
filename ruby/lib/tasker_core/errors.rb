# frozen_string_literal: true

module TaskerCore
  # Root of everything this gem raises on purpose.
  class Error < StandardError
    # @return [Boolean] whether trying the same call again can help
    def retryable? = false
  end

  # What the program got wrong before any database was involved.
  class ConfigurationError < Error; end

  # A template file that cannot be read or merged.
  class TemplateError < ConfigurationError; end

  # Handler classes that are missing or unusable; the message lists all of them.
  class HandlerNotFound < ConfigurationError; end

  # A transaction block that did not reach its end in a state that can commit.
  class TransactionAborted < Error; end

  # Raise inside {Connection#transaction} to roll back and go on after the block.
  class Rollback < Error; end

  # Anything the server answered with an error, or could not answer.
  class DatabaseError < Error
    # @return [String, nil] the five-character SQLSTATE; nil when the connection broke
    attr_reader :sqlstate
    # @return [String, nil] what exactly is wrong, with names and ids
    attr_reader :detail
    # @return [String, nil] what to do about it
    attr_reader :hint
    # @return [String, nil] name of the violated constraint
    attr_reader :constraint

    def initialize(message = nil, sqlstate: nil, detail: nil, hint: nil, constraint: nil)
      super(message)
      @sqlstate = sqlstate
      @detail = detail
      @hint = hint
      @constraint = constraint
    end

    # The message with DETAIL and HINT, for people.
    def explanation
      [message, detail && "DETAIL: #{detail}", hint && "HINT: #{hint}"].compact.join("\n")
    end
  end

  # The server cannot be reached, or went away during a call.
  class ConnectionError < DatabaseError
    def retryable? = true
  end

  # The connection was lost while COMMIT was under way: it may or may not have happened.
  class CommitUnknown < ConnectionError; end

  # Serialization failure, deadlock, lock timeout, out of resources: the same call may succeed later.
  class TransientError < DatabaseError
    def retryable? = true
  end

  # No template of this name, or no such version.
  class TemplateNotFound < DatabaseError; end

  # No task of this id.
  class TaskNotFound < DatabaseError; end

  # No step of this id.
  class StepNotFound < DatabaseError; end

  # Nothing of this name: no schedule, no namespace, no role, ...
  class ObjectNotFound < DatabaseError; end

  # A move that the state machine does not allow; the hint names those it does.
  class IllegalTransition < DatabaseError; end

  # Somebody else holds the step, or nobody may any more; what this claim sends changes nothing.
  class LeaseLost < DatabaseError; end

  # The task has ended, and this is only possible before.
  class TaskNotActive < DatabaseError; end

  # A template with faults; the detail lists all of them.
  class InvalidTemplate < DatabaseError; end

  # Other content is registered under this namespace, name and version.
  class TemplateConflict < DatabaseError; end

  # A context or a result that its JSON Schema refuses.
  class SchemaMismatch < DatabaseError; end

  # More than the extension accepts: too many, too large, too deep.
  class LimitExceeded < DatabaseError; end

  # A cursor whose events are gone already; the detail names the oldest one that can be read.
  class CursorExpired < DatabaseError; end

  # An argument that is null, out of range, or of no meaning.
  class InvalidArgument < DatabaseError; end

  # The role may not do this.
  class PermissionDenied < DatabaseError; end

  # CREATE EXTENSION tasker_core has not been run in this database.
  class ExtensionMissing < DatabaseError; end

  # Gem, SQL objects and library of the extension do not fit together.
  class IncompatibleExtension < DatabaseError; end

  # A value the database cannot store: NaN, "\u0000", invalid UTF-8. Repeating does not help.
  class SerializationError < DatabaseError; end

  # What handlers raise to say how a failure is to be treated. Any other
  # StandardError counts as retryable.
  class ProceduralError < Error
    # @return [Hash] stored with the failed attempt
    attr_reader :context

    def initialize(message = nil, context: {})
      super(message)
      @context = context
    end
  end

  # The step may succeed later; `retry_after` (seconds) beats the template's backoff.
  class RetryableError < ProceduralError
    attr_reader :retry_after

    def initialize(message = nil, retry_after: nil, context: {})
      super(message, context: context)
      @retry_after = retry_after
    end

    def retryable? = true
  end

  # A call that took too long.
  class TimeoutError < RetryableError
    attr_reader :timeout_duration

    def initialize(message = nil, timeout_duration: nil, **options)
      super(message, **options)
      @timeout_duration = timeout_duration
    end
  end

  # A remote service that could not be reached or answered with a passing failure.
  class NetworkError < RetryableError
    attr_reader :status_code

    def initialize(message = nil, status_code: nil, **options)
      super(message, **options)
      @status_code = status_code
    end
  end

  # The step can never succeed; it is not tried again.
  class PermanentError < ProceduralError
    attr_reader :error_code

    def initialize(message = nil, error_code: nil, context: {})
      super(message, context: context)
      @error_code = error_code
    end
  end

  # Input the business rules refuse.
  class ValidationError < PermanentError
    attr_reader :field

    def initialize(message = nil, field: nil, **options)
      super(message, **options)
      @field = field
    end
  end

  # Something the step needs does not exist.
  class NotFoundError < PermanentError
    attr_reader :resource_type

    def initialize(message = nil, resource_type: nil, **options)
      super(message, **options)
      @resource_type = resource_type
    end
  end

  # The same constants under one roof, and the table from SQLSTATE to class.
  module Errors
    [Error, ConfigurationError, TemplateError, HandlerNotFound, TransactionAborted, Rollback,
     DatabaseError, ConnectionError, CommitUnknown, TransientError, TemplateNotFound, TaskNotFound,
     StepNotFound, ObjectNotFound, IllegalTransition, LeaseLost, TaskNotActive, InvalidTemplate, TemplateConflict,
     SchemaMismatch, LimitExceeded, CursorExpired, InvalidArgument, PermissionDenied, ExtensionMissing,
     IncompatibleExtension, SerializationError, ProceduralError, RetryableError, TimeoutError,
     NetworkError, PermanentError, ValidationError, NotFoundError].each do |klass|
      const_set(klass.name.delete_prefix("TaskerCore::"), klass)
    end

    # Exact SQLSTATEs first, then their two-character class.
    BY_SQLSTATE = {
      "TC001" => TemplateNotFound,
      "TC002" => TaskNotFound,
      "TC003" => StepNotFound,
      "TC010" => IllegalTransition,
      "TC011" => LeaseLost,
      "TC012" => TaskNotActive,
      "TC020" => InvalidTemplate,
      "TC021" => TemplateConflict,
      "TC022" => SchemaMismatch,
      "TC023" => LimitExceeded,
      "TC024" => CursorExpired,
      "TC090" => IncompatibleExtension,
      "22004" => InvalidArgument, # null for a required argument
      "22023" => InvalidArgument,
      "22008" => InvalidArgument, # infinite or impossible time
      "22P02" => InvalidArgument, # text that is no uuid, number, ...
      "22003" => InvalidArgument, # number out of range
      "22021" => SerializationError, # bytes outside the encoding
      "22P05" => SerializationError, # "\u0000" in jsonb
      "42501" => PermissionDenied,
      "42704" => ObjectNotFound, # no schedule, namespace or role of this name
      "3F000" => ExtensionMissing, # schema tasker does not exist
      "42883" => IncompatibleExtension, # no such function, or no such argument
      "54000" => LimitExceeded,
      "40001" => TransientError,
      "40P01" => TransientError,
      "55P03" => TransientError,
      "57014" => TransientError, # statement timeout or cancel
      "53" => TransientError,
      "08" => ConnectionError,
      "57P" => ConnectionError # 57P01 admin shutdown, 57P02 crash, 57P03 starting up, 57P05 idle
    }.freeze

    HINTS = {
      "3F000" => "Run CREATE EXTENSION tasker_core in this database.",
      "42883" => "The installed extension lacks what this gem calls: ALTER EXTENSION tasker_core UPDATE, " \
                 "or use the gem of the extension's version."
    }.freeze
    private_constant :HINTS

    module_function

    # @param error [PG::Error]
    # @param connection [PG::Connection, nil] the one it was raised on
    # @return [DatabaseError]
    def translate(error, connection = nil)
      result = error.respond_to?(:result) ? error.result : nil
      sqlstate = result&.error_field(PG::PG_DIAG_SQLSTATE)
      return ConnectionError.new(first_line(error), sqlstate: sqlstate) if lost?(error, connection)

      class_for(sqlstate).new(
        result&.error_field(PG::PG_DIAG_MESSAGE_PRIMARY) || first_line(error),
        sqlstate: sqlstate,
        detail: result&.error_field(PG::PG_DIAG_MESSAGE_DETAIL),
        hint: HINTS[sqlstate] || result&.error_field(PG::PG_DIAG_MESSAGE_HINT),
        constraint: result&.error_field(PG::PG_DIAG_CONSTRAINT_NAME)
      )
    end

    # @return [Class] the exception class of a SQLSTATE
    def class_for(sqlstate)
      return DatabaseError unless sqlstate

      BY_SQLSTATE[sqlstate] || BY_SQLSTATE[sqlstate[0, 3]] || BY_SQLSTATE[sqlstate[0, 2]] || DatabaseError
    end

    # A broken connection is told by its own state: its errors carry no
    # SQLSTATE and their texts differ between versions and systems.
    def lost?(error, connection)
      return true if error.is_a?(PG::ConnectionBad) || error.is_a?(PG::UnableToSend)
      return false unless connection

      connection.finished? || connection.status != PG::CONNECTION_OK
    end

    def first_line(error)
      error.message.lines.first.to_s.chomp
    end
    private_class_method :first_line
  end
end
