# frozen_string_literal: true

module TaskerCore
  # One method per SQL function, of the same name. What an operation is about
  # comes first, everything else is a keyword; an optional keyword that is nil
  # is not sent, so the extension's default holds. Durations are seconds.
  class Client
    # @return [Connection]
    attr_reader :connection

    # @param connection [Connection, Object] see {Connection}
    def initialize(connection)
      @connection = Connection.wrap(connection)
    end

    # @see Connection#transaction
    def transaction(&block) = connection.transaction(&block)

    # Raises unless the extension is there and of a version this gem speaks to.
    # @return [String] the extension's version
    # @raise [ExtensionMissing, IncompatibleExtension]
    def check_extension
      sql = "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'tasker_core'"
      version = connection.query(sql).first&.fetch(:extversion)
      unless version
        raise ExtensionMissing.new("the extension tasker_core is not installed in this database",
                                   hint: "Run CREATE EXTENSION tasker_core in this database.")
      end
      return version if version.split(".").first == EXTENSION_MAJOR.to_s

      raise IncompatibleExtension.new(
        "gem tasker_core #{VERSION} needs extension #{EXTENSION_MAJOR}.x, the database has #{version}",
        hint: "ALTER EXTENSION tasker_core UPDATE, or use the gem of the extension's version."
      )
    end

    # @return [String] version of the loaded library
    def library_version = scalar(:library_version)

    # @!group Templates

    # @param template [Template, Hash]
    # @return [RegisteredTemplate]
    # @raise [InvalidTemplate] naming every fault
    # @raise [TemplateConflict] when the version exists with other content
    def register_task_template(template)
      RegisteredTemplate.from_row(call(:register_task_template, template: definition(template)).first)
    end

    # @return [Array<String>] warnings
    # @raise [InvalidTemplate]
    def validate_task_template(template) = scalar(:validate_task_template, template: definition(template))

    # @param version [String, nil] nil for the highest
    # @return [Hash] the template in normal form
    # @raise [TemplateNotFound]
    def get_task_template(name, namespace: nil, version: nil)
      scalar(:get_task_template, name: name, **given(namespace: namespace, version: version))
    end

    # @return [Array<TemplateSummary>]
    def list_task_templates(namespace: nil)
      TemplateSummary.from_rows(call(:list_task_templates, **given(namespace: namespace)))
    end

    # @!endgroup
    # @!group Tasks

    # @param name [String] of the template
    # @param context [Hash]
    # @param idempotency_key [String, nil] the same key again answers with the existing task
    # @param run_at [Time, nil]
    # @return [CreatedTask]
    # @raise [TemplateNotFound, SchemaMismatch]
    def create_task(name, context: nil, namespace: nil, version: nil, idempotency_key: nil, priority: nil,
                    run_at: nil, initiator: nil, source_system: nil, reason: nil, tags: nil,
                    correlation_id: nil, parent_correlation_id: nil)
      optional = given(
        context: context, namespace: namespace, version: version, idempotency_key: idempotency_key,
        priority: priority, run_at: run_at, initiator: initiator, source_system: source_system,
        reason: reason, tags: tags, correlation_id: correlation_id,
        parent_correlation_id: parent_correlation_id
      )
      CreatedTask.from_row(call(:create_task, name: name, **optional).first)
    end

    # @return [Boolean] false when it was cancelled already
    # @raise [TaskNotFound, TaskNotActive]
    def cancel_task(task_id, reason: nil) = scalar(:cancel_task, task_id: task_id, **given(reason: reason))

    # @return [TaskExecutionContext, nil] nil for an unknown task
    def get_task_execution_context(task_id)
      row = call(:get_task_execution_context, task_id: task_id).first
      row && TaskExecutionContext.from_row(row)
    end

    # @return [Array<TaskExecutionContext>]
    def get_task_execution_contexts_batch(task_ids)
      TaskExecutionContext.from_rows(call(:get_task_execution_contexts_batch, task_ids: task_ids))
    end

    # @param step_ids [Array<Integer>, nil] nil for all
    # @return [Array<StepReadiness>] by id
    def get_step_readiness_status(task_id, step_ids: nil)
      StepReadiness.from_rows(call(:get_step_readiness_status, task_id: task_id, **given(step_ids: step_ids)))
    end

    # @return [Array<StepReadiness>]
    def get_step_readiness_status_batch(task_ids)
      StepReadiness.from_rows(call(:get_step_readiness_status_batch, task_ids: task_ids))
    end

    # @return [Array<Violation>] empty when every invariant holds
    def verify_task(task_id)
      call(:verify_task, task_id: task_id).map { |row| Violation.from_row({ task_id: task_id, **row }) }
    end

    # @return [Array<Violation>]
    def verify_all(max_tasks: nil) = Violation.from_rows(call(:verify_all, **given(max_tasks: max_tasks)))

    # @return [Integer] milliseconds
    def calculate_backoff(strategy, attempt, base_ms: nil, max_ms: nil, jitter: nil, seed: nil)
      scalar(:calculate_backoff, strategy: strategy, attempt: attempt,
                                 **given(base_ms: base_ms, max_ms: max_ms, jitter: jitter, seed: seed))
    end

    # @!endgroup
    # @!group Workers' verbs

    # @param task_names [Array<String>, nil] 'namespace/name' or 'namespace/name@version'; nil for all
    # @return [Array<Claim>]
    def claim_steps(worker_id:, max_steps: nil, namespaces: nil, lease_seconds: nil, task_id: nil,
                    task_names: nil, queues: nil, shard_keys: nil)
      optional = given(max_steps: max_steps, namespaces: namespaces, lease_seconds: lease_seconds,
                       task_id: task_id, task_names: task_names, queues: queues, shard_keys: shard_keys)
      Claim.from_rows(call(:claim_steps, worker_id: worker_id, **optional))
    end

    # @param results any JSON value; nil is stored as JSON null
    # @return [Completion]
    # @raise [LeaseLost, SchemaMismatch, SerializationError]
    def complete_step(workflow_step_id:, claim_token:, results:)
      row = call(:complete_step, workflow_step_id: workflow_step_id, claim_token: claim_token,
                                 results: results).first
      Completion.from_row(row)
    end

    # Three arrays of equal length. One bad item does not spoil the others.
    # @return [Array<BatchCompletion>]
    def complete_steps(workflow_step_ids:, claim_tokens:, results:)
      rows = call(:complete_steps, workflow_step_ids: workflow_step_ids, claim_tokens: claim_tokens,
                                   results: results)
      BatchCompletion.from_rows(rows)
    end

    # @param error [Hash] what went wrong; stored with the attempt
    # @param retryable [Boolean, nil] false: never try again
    # @param retry_after_seconds [Numeric, nil] beats the template's backoff
    # @return [Failure]
    # @raise [LeaseLost]
    def fail_step(workflow_step_id:, claim_token:, error:, retryable: nil, retry_after_seconds: nil)
      optional = given(retryable: retryable, retry_after_seconds: retry_after_seconds)
      row = call(:fail_step, workflow_step_id: workflow_step_id, claim_token: claim_token, error: error,
                             **optional).first
      Failure.from_row(row)
    end

    # @return [Array<Integer>] ids of the steps that were lost
    def heartbeat(worker_id:, workflow_step_ids:, claim_tokens:, lease_seconds: nil)
      rows = call(:heartbeat, worker_id: worker_id, workflow_step_ids: workflow_step_ids,
                              claim_tokens: claim_tokens, **given(lease_seconds: lease_seconds))
      rows.map { |row| row.fetch(:workflow_step_id) }
    end

    # @return [Integer] how many were given back
    def release_steps(workflow_step_ids:, claim_tokens:, delay_seconds: nil)
      scalar(:release_steps, workflow_step_ids: workflow_step_ids, claim_tokens: claim_tokens,
                             **given(delay_seconds: delay_seconds))
    end

    # @!endgroup

    private

    def call(function, **arguments) = connection.call(function, **arguments)

    def scalar(function, **arguments) = call(function, **arguments).first.each_value.first

    def given(**optional) = optional.compact

    def definition(template) = template.respond_to?(:definition) ? template.definition : template
  end
end
