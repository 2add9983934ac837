# frozen_string_literal: true

module TaskerCore
  # The extension's functions: arguments and their SQL types, as in its script.
  #
  # @api private
  module Functions
    TABLE = {
      register_task_template: { template: "jsonb" },
      validate_task_template: { template: "jsonb" },
      get_task_template: { name: "text", namespace: "text", version: "text" },
      list_task_templates: { namespace: "text" },
      create_task: {
        name: "text", context: "jsonb", namespace: "text", version: "text", idempotency_key: "text",
        priority: "int", run_at: "timestamptz", initiator: "text", source_system: "text", reason: "text",
        tags: "text[]", correlation_id: "uuid", parent_correlation_id: "uuid"
      },
      cancel_task: { task_id: "bigint", reason: "text" },
      verify_task: { task_id: "bigint" },
      verify_all: { max_tasks: "int" },
      claim_steps: {
        worker_id: "text", max_steps: "int", namespaces: "text[]", lease_seconds: "float8", task_id: "bigint",
        task_names: "text[]", queues: "text[]", shard_keys: "int[]"
      },
      complete_step: { workflow_step_id: "bigint", claim_token: "bigint", results: "jsonb" },
      complete_steps: { workflow_step_ids: "bigint[]", claim_tokens: "bigint[]", results: "jsonb[]" },
      fail_step: {
        workflow_step_id: "bigint", claim_token: "bigint", error: "jsonb", retryable: "boolean",
        retry_after_seconds: "float8"
      },
      heartbeat: {
        worker_id: "text", workflow_step_ids: "bigint[]", claim_tokens: "bigint[]", lease_seconds: "float8"
      },
      release_steps: { workflow_step_ids: "bigint[]", claim_tokens: "bigint[]", delay_seconds: "float8" },
      get_step_readiness_status: { task_id: "bigint", step_ids: "bigint[]" },
      get_step_readiness_status_batch: { task_ids: "bigint[]" },
      get_task_execution_context: { task_id: "bigint" },
      get_task_execution_contexts_batch: { task_ids: "bigint[]" },
      calculate_backoff: {
        strategy: "text", attempt: "int", base_ms: "bigint", max_ms: "bigint", jitter: "float8", seed: "bigint"
      },
      library_version: {}
    }.each_value(&:freeze).freeze

    # Named notation, so that arguments the extension gains later do no harm;
    # a cast on every placeholder, so that nothing is left to inference.
    #
    # @param function [Symbol]
    # @param arguments [Hash{Symbol => Object}]
    # @return [Array(String, Array<String, nil>)] statement and parameters
    def self.statement(function, arguments)
      types = TABLE.fetch(function) { raise ArgumentError, "unknown function: #{function}" }
      parameters = []
      list = arguments.map do |name, value|
        type = types.fetch(name) { raise ArgumentError, "#{function} has no argument #{name}" }
        parameters << encode(function, name, value, type)
        "#{name} => $#{parameters.size}::#{type}"
      end
      ["SELECT * FROM tasker.#{function}(#{list.join(", ")})", parameters]
    end

    def self.encode(function, name, value, type)
      Codec.encode(value, type)
    rescue SerializationError => e
      raise SerializationError.new("#{function}, argument #{name}: #{e.message}", hint: e.hint)
    end
    private_class_method :encode
  end
end
