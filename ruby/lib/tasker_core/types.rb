# frozen_string_literal: true

module TaskerCore
  # Answer of register_task_template.
  RegisteredTemplate = Value.define(:named_task_id, :namespace, :name, :version, :created, :warnings) do
    # @return [Boolean] false when the same content was registered already
    def created? = created
  end

  # Row of list_task_templates.
  TemplateSummary = Value.define(:named_task_id, :namespace, :name, :version, :description, :step_count,
                                 :created_at, :retired_at)

  # Row of cancel_tasks and retry_tasks.
  ChangedTask = Value.define(:task_id, :outcome)

  # Answer of create_task; step_count and state are nil where only the key of the task is still there.
  CreatedTask = Value.define(:task_id, :created, :step_count, :state) do
    # @return [Boolean] false when an equal task existed
    def created? = created
  end

  # Row of create_tasks.
  CreatedTaskOf = Value.define(:task_id, :created, :step_count, :state, :ordinal) do
    # @return [Boolean] false when an equal task existed
    def created? = created
  end

  # Row of list_tasks.
  TaskSummary = Value.define(
    :task_id, :namespace, :task_name, :version, :state, :priority, :created_at, :started_at, :finished_at, :run_at,
    :paused_at, :failed_steps, :tags, :correlation_id, :parent_correlation_id, :initiator, :source_system, :reason,
    :idempotency_key, :parent_step_id
  ) do
    # @return [String] 'namespace/name'
    def full_task_name = "#{namespace}/#{task_name}"
  end

  # Row of get_next_ready_tasks.
  ReadyTask = Value.define(:task_id, :namespace, :task_name, :priority, :ready_steps, :oldest_ready_at)

  # Row of validate_json_schema.
  SchemaFault = Value.define(:path, :message)

  # Answer of complete_step.
  Completion = Value.define(:task_id, :task_state, :steps_ready, :status) do
    # @return [Boolean] whether an earlier call with this token stored its results
    def already_completed? = status == "already_completed"
  end

  # Row of complete_steps.
  BatchCompletion = Value.define(:workflow_step_id, :status, :task_id, :task_state, :error, :steps_ready) do
    # @return [Boolean] by this call or an earlier one
    def completed? = %w[completed already_completed].include?(status)
  end

  # Answer of fail_step.
  Failure = Value.define(:step_state, :next_retry_at, :task_state)

  # What became of a step that was run in this thread. `status` is complete, failed, yielded or not_ready.
  StepHandleResult = Value.define(
    :workflow_step_id, :task_id, :step_name, :status, :results, :error, :attempt, :max_attempts, :next_retry_at,
    :execution_time_ms
  ) do
    # @return [Boolean]
    def success? = status == "complete"

    # @return [Boolean]
    def failed? = status == "failed"

    # @return [Boolean] whether the extension will offer it again
    def retry_eligible? = !next_retry_at.nil?

    # @return [Boolean] whether it could not run: it has ended, or waits for parents, time or another worker
    def not_ready? = status == "not_ready"
  end

  # What became of a task whose steps were run in this thread, as far as they were ready.
  HandleResult = Value.define(:task_id, :status, :steps) do
    # @return [Boolean]
    def complete? = status == "complete"

    # @return [String, nil] of the last step that failed
    def error_message = steps.reverse.find(&:failed?)&.error&.message
  end

  # Row of get_step_readiness_status.
  StepReadiness = Value.define(
    :workflow_step_id, :task_id, :named_step_id, :name, :current_state, :dependencies_satisfied,
    :retry_eligible, :ready_for_execution, :last_failure_at, :next_retry_at, :total_parents,
    :completed_parents, :attempts, :max_attempts, :backoff_request_seconds, :last_attempted_at
  ) do
    # @return [Boolean] whether a worker could claim it now
    def ready? = ready_for_execution
  end

  # Row of get_task_execution_context.
  TaskExecutionContext = Value.define(
    :task_id, :named_task_id, :status, :total_steps, :pending_steps, :in_progress_steps, :completed_steps,
    :failed_steps, :ready_steps, :execution_status, :recommended_action, :completion_percentage,
    :health_status, :waiting_for_retry_steps, :cancelled_steps, :skipped_steps
  )

  # Row of explain_step.
  Explanation = Value.define(:reason, :detail)

  # Row of calculate_dependency_levels.
  DependencyLevel = Value.define(:workflow_step_id, :dependency_level)

  # Row of get_step_transitive_dependencies.
  Ancestor = Value.define(:workflow_step_id, :task_id, :name, :distance, :current_state, :results)

  # Answer of reset_step, resolve_step and skip_step.
  StepMove = Value.define(:task_id, :task_state, :steps_ready)

  # Row of read_events.
  Event = Value.define(:cursor, :name, :task_id, :workflow_step_id, :payload, :occurred_at)

  # Answer of events_lag.
  EventsLag = Value.define(:head, :xmin, :held_back_by, :prepared_as, :since, :oldest_waiting_at)

  # Row of run_sql_steps.
  SqlStepRun = Value.define(:workflow_step_id, :status, :error)

  # Answer of create_schedule.
  ScheduleCreation = Value.define(:schedule_id, :created, :next_due_at)

  # Row of list_pauses: of a namespace (task_name is nil) or of a template.
  Pause = Value.define(:namespace, :task_name, :paused_at, :paused_by, :reason, :resumed_at, :resumed_by, :resume_reason)

  # Row of list_schedules.
  Schedule = Value.define(:schedule_id, :namespace, :name, :task_name, :version, :cron, :timezone, :context, :priority,
                          :catch_up, :paused_at, :next_due_at, :last_due_at, :last_task_id, :last_error, :created_at,
                          :created_by)

  # Row of detect_stale_tasks.
  StaleTask = Value.define(:task_id, :namespace, :task_name, :state, :stale_since, :minutes, :limit_minutes, :action,
                           :limit_name)

  # Answer of get_system_health_counts.
  SystemHealth = Value.define(
    :total_tasks, :pending_tasks, :in_progress_tasks, :complete_tasks, :error_tasks, :cancelled_tasks, :total_steps,
    :pending_steps, :in_progress_steps, :complete_steps, :error_steps, :retryable_error_steps,
    :exhausted_retry_steps, :in_backoff_steps, :active_connections, :max_connections, :resolved_manually_tasks,
    :paused_tasks, :waiting_for_retry_steps, :cancelled_steps, :skipped_steps, :resolved_manually_steps,
    :ready_steps, :dead_letters_pending, :workers_alive
  )

  # Answer of get_analytics_metrics.
  AnalyticsMetrics = Value.define(
    :active_tasks_count, :total_namespaces_count, :unique_task_types_count, :system_health_score, :task_throughput,
    :completion_count, :error_count, :completion_rate, :error_rate, :avg_task_duration, :avg_step_duration,
    :step_throughput, :analysis_period_start, :calculated_at
  )

  # Row of get_slowest_steps.
  SlowStep = Value.define(
    :workflow_step_id, :task_id, :step_name, :task_name, :namespace_name, :version, :duration_seconds, :attempts,
    :created_at, :completed_at, :retryable, :step_status, :started_at
  )

  # Row of get_slowest_steps_aggregated.
  SlowTemplateStep = Value.define(
    :namespace_name, :task_name, :version, :step_name, :average_duration_seconds, :max_duration_seconds,
    :execution_count, :error_count, :error_rate, :last_executed_at
  )

  # Row of get_slowest_tasks.
  SlowTask = Value.define(
    :task_id, :task_name, :namespace_name, :version, :duration_seconds, :step_count, :completed_steps, :error_steps,
    :created_at, :completed_at, :initiator, :source_system, :state
  )

  # Row of get_slowest_tasks_aggregated.
  SlowTemplate = Value.define(
    :namespace_name, :task_name, :version, :average_duration_seconds, :max_duration_seconds, :execution_count,
    :error_count, :error_rate, :last_executed_at
  )

  # Row of verify_task and verify_all.
  Violation = Value.define(:task_id, :workflow_step_id, :violation)

  # Row of list_access; namespaces are nil where the grant is not limited.
  AccessGrant = Value.define(:role_name, :access, :namespaces, :effective, :granted_at, :granted_by)

  # Row of function_access.
  FunctionAccess = Value.define(:function_name, :accesses, :namespaces)

  # A step in this worker's hands: everything needed to run it.
  Claim = Value.define(
    :workflow_step_id, :task_id, :claim_token, :attempt, :max_attempts, :namespace, :task_name,
    :task_version, :step_name, :handler_class, :handler_config, :task_context, :dependency_results, :inputs,
    :checkpoint, :priority, :correlation_id, :timeout_seconds, :lease_expires_at, :handler_method,
    :handler_resolver, :queue
  ) do
    # @return [String] 'namespace/name'
    def full_task_name = "#{namespace}/#{task_name}"
  end

  # Row of complete_and_claim: a claim, or an item that was not completed.
  BatchClaim = Value.define(*Claim.members, :completed_step_id, :status, :error) do
    # @return [Boolean] false for an item that was not completed
    def claim? = !workflow_step_id.nil?

    # @return [Claim] the claim by itself
    class_eval("def to_claim = Claim.new(#{Claim.members.map { |name| "#{name}: #{name}" }.join(", ")})", __FILE__, __LINE__)
  end

  # The task as a handler sees it: first argument of `process`.
  Task = Value.define(:task_id, :namespace, :name, :version, :context, :priority, :correlation_id) do
    # @param claim [Claim]
    def self.of(claim)
      new(task_id: claim.task_id, namespace: claim.namespace, name: claim.task_name,
          version: claim.task_version, context: claim.task_context, priority: claim.priority,
          correlation_id: claim.correlation_id)
    end
  end

  # A parent of the step and what came out of it.
  ParentStep = Value.define(:name, :results)

  # The direct parents of a step: second argument of `process`.
  class StepSequence
    # @param dependency_results [Hash{String => Object}] results by parent name
    def initialize(dependency_results)
      @results = dependency_results
      freeze
    end

    # @return [Array<ParentStep>]
    def steps = @results.map { |name, results| ParentStep.new(name: name, results: results) }

    # @return [Array<String>] names of the parents
    def dependencies = @results.keys

    # @return [ParentStep, nil]
    def find_step_by_name(name)
      name = name.to_s
      ParentStep.new(name: name, results: @results[name]) if @results.key?(name)
    end
    alias [] find_step_by_name

    # @return the parent's results
    # @raise [KeyError] when the step has no such parent
    def results_of(name)
      @results.fetch(name.to_s) { raise KeyError, "no parent step #{name}; parents: #{dependencies.join(", ")}" }
    end

    # What a parent that runs as a task of its own came to.
    # @return [SubWorkflow::Result, nil] nil where it has no result: it was skipped, say
    # @raise [KeyError] when the step has no such parent
    # @raise [PermanentError] when the parent's result is no sub-workflow's
    def workflow(name) = SubWorkflow.result(results_of(name), name)
  end

  # The step as a handler sees it: third argument of `process`.
  class Step
    %i[workflow_step_id task_id attempt max_attempts handler_class handler_config inputs timeout_seconds
       lease_expires_at queue].each { |name| class_eval("def #{name} = @claim.#{name}", __FILE__, __LINE__) }

    # @return [String]
    def name = @claim.step_name

    # @param claim [Claim]
    # @param attempt [Worker::Attempt, nil] what makes the methods work that need a worker
    def initialize(claim, attempt = nil)
      @claim = claim
      @attempt = attempt
      freeze
    end

    # @return [Boolean] whether this attempt is the last one
    def last_attempt? = attempt >= max_attempts

    # Runs the block and completes this step in one transaction, on the worker
    # thread's own connection: either the block's writes and the completion are
    # stored, or neither is. The block's value is the step's results.
    #
    # @yieldparam connection [PG::Connection] write through this one only
    # @return the block's value
    # @raise [LeaseLost] when another worker may have the step; nothing is stored
    # @raise [TransactionAborted] when the block left no transaction to complete the step in
    # @raise [ConnectionError] when nothing of it was stored
    def transaction(&block) = in_worker(:transaction).transaction(&block)

    # Inside the block of {#transaction}: ends the block and fails the step. What
    # the block wrote until then and the failure commit together; then the error
    # is raised from {#transaction}.
    #
    # @param error [Exception] as if it had been raised: {PermanentError} is not tried again
    def fail!(error) = in_worker(:fail!).fail!(error)

    # Without an argument: how far the step has come. With one: stores that, at
    # once, or with the transaction inside the block of {#transaction}. With a
    # block: runs it in a transaction of its own and stores its value together
    # with its writes. Whoever claims the step next starts from there.
    #
    # @param data [Object] any JSON value
    # @yieldparam connection [PG::Connection]
    # @return the last checkpoint
    # @raise [LeaseLost] when another worker may have the step; nothing is stored
    def checkpoint(*data, &block)
      raise ArgumentError, "checkpoint takes one value or a block" if data.size > 1 || (block && data.any?)
      return @attempt ? @attempt.checkpoint : @claim.checkpoint if data.empty? && block.nil?

      in_worker(:checkpoint).save_checkpoint(*data, &block)
    end

    # Stores a checkpoint and gives the step back, to go on from there in another
    # claim; no attempt is counted. Ends the handler. Inside the block of
    # {#transaction} its writes and the checkpoint commit together.
    #
    # @param data [Object] any JSON value
    # @raise [LeaseLost]
    def yield!(data) = in_worker(:yield!).yield!(data)

    # @return [Boolean] whether {#transaction} has completed the step
    def completed? = @attempt&.completed? || false

    # @return [Boolean] whether this claim is known not to be held any more, so that going on is in vain
    def lost? = @attempt&.lost? || false

    # @return [Boolean] whether the worker is being stopped: a long handler had better {#yield!}
    def worker_stopping? = @attempt&.stopping? || false

    def inspect = "#<#{self.class.name} #{workflow_step_id} #{name} attempt #{attempt}/#{max_attempts}>"

    private

    def in_worker(method)
      @attempt || raise(Error, "step.#{method} is only possible inside a worker")
    end
  end
end
