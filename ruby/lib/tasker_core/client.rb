# frozen_string_literal: true

module TaskerCore
  # One method per SQL function, of the same name and with the same argument
  # names. What a call is about comes first, everything else is a keyword; an
  # optional keyword that is nil is not sent, so the extension's default holds.
  # Durations are seconds, times are Time, JSON has string keys. What each
  # function does is in docs/sql-reference.md.
  #
  # A call is made on {#connection}; inside a transaction of that connection it
  # belongs to it, and commits or rolls back with everything else.
  class Client
    class << self
      private

      # Declares a method that is nothing but its SQL function.
      #
      # @param name [Symbol]
      # @param signature [String] the arguments with their SQL types in their order. Those before a
      #   semicolon are positional, those after it keywords; a question mark: optional, and a keyword
      # @param answer :value (of a function that returns one), :values (of its first column),
      #   a value class (its one row, or nil), or an Array with one (its rows)
      def function(name, signature, answer)
        class_eval(Functions.declare(name, signature, answer).method_source, __FILE__, __LINE__)
      end
    end

    # @return [Connection]
    attr_reader :connection

    # @param connection [Connection, Object] see {Connection}
    def initialize(connection)
      @connection = Connection.wrap(connection)
    end

    # Runs the block in a transaction, see {Connection#transaction}.
    # @yieldparam pg [PG::Connection]
    # @return what the block returns
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

    # @!group Templates

    # @!method register_task_template(template)
    #   @param template [Template, Hash]
    #   @return [RegisteredTemplate]
    #   @raise [InvalidTemplate] naming every fault
    #   @raise [TemplateConflict] when the version exists with other content
    function :register_task_template, "template jsonb", RegisteredTemplate

    # @!method validate_task_template(template)
    #   Stores nothing.
    #   @param template [Template, Hash]
    #   @return [Array<String>] warnings
    #   @raise [InvalidTemplate]
    function :validate_task_template, "template jsonb", :value

    # @!method get_task_template(name, namespace: nil, version: nil)
    #   @param version [String, nil] nil for the highest
    #   @return [Hash] the template in normal form
    #   @raise [TemplateNotFound]
    function :get_task_template, "name text, namespace text?, version text?", :value

    # @!method retire_task_template(name, namespace: nil, version: nil, retired: nil)
    #   @param version [String, nil] nil: every version
    #   @param retired [Boolean, nil] false: new tasks can be made again
    #   @return [Integer] how many versions that changed
    #   @raise [TemplateNotFound]
    function :retire_task_template, "name text, namespace text?, version text?, retired boolean?", :value

    # @!method list_task_templates(namespace: nil)
    #   @return [Array<TemplateSummary>]
    function :list_task_templates, "namespace text?", [TemplateSummary]

    # @!method template_graph(name, namespace: nil, version: nil, format: nil)
    #   @param format [String, nil] mermaid (the default), dot or text
    #   @return [String]
    #   @raise [TemplateNotFound, InvalidArgument]
    function :template_graph, "name text, namespace text?, version text?, format text?", :value

    # @!method validate_json_schema(schema, document)
    #   @return [Array<SchemaFault>] empty when the document matches
    #   @raise [InvalidArgument] when the schema is none
    function :validate_json_schema, "schema jsonb, document jsonb", [SchemaFault]

    # @!endgroup
    # @!group Tasks

    # @!method create_task(name, context: nil, namespace: nil, version: nil, idempotency_key: nil, priority: nil, run_at: nil, initiator: nil, source_system: nil, reason: nil, tags: nil, correlation_id: nil, parent_correlation_id: nil)
    #   @param name [String] of the template
    #   @param context [Hash]
    #   @param version [String, nil] nil for the highest
    #   @param idempotency_key [String, nil] the same key again answers with the existing task
    #   @param run_at [Time, nil]
    #   @return [CreatedTask]
    #   @raise [TemplateNotFound, SchemaMismatch]
    function :create_task,
             "name text, context jsonb?, namespace text?, version text?, idempotency_key text?, priority int?, " \
             "run_at timestamptz?, initiator text?, source_system text?, reason text?, tags text[]?, " \
             "correlation_id uuid?, parent_correlation_id uuid?", CreatedTask

    # @!method create_tasks(requests)
    #   All or nothing.
    #   @param requests [Array<Hash>] arguments of {#create_task}, `name` included
    #   @return [Array<CreatedTaskOf>] in the order of the requests
    #   @raise [TemplateNotFound, SchemaMismatch, LimitExceeded]
    function :create_tasks, "requests jsonb", [CreatedTaskOf]

    # @!method create_task_from_definition(template, context: nil, idempotency_key: nil, priority: nil, run_at: nil, initiator: nil, source_system: nil, reason: nil, tags: nil, correlation_id: nil, parent_correlation_id: nil)
    #   @param template [Template, Hash] need not be registered
    #   @return [CreatedTask]
    #   @raise [InvalidTemplate, SchemaMismatch]
    function :create_task_from_definition,
             "template jsonb, context jsonb?, idempotency_key text?, priority int?, run_at timestamptz?, " \
             "initiator text?, source_system text?, reason text?, tags text[]?, correlation_id uuid?, " \
             "parent_correlation_id uuid?", CreatedTask

    # @!method get_task(task_id)
    #   @return [Hash] everything about a task: task, steps, progress
    #   @raise [TaskNotFound]
    function :get_task, "task_id bigint", :value

    # @!method list_tasks(filters: nil, max_tasks: nil, before_task_id: nil)
    #   @param filters [Hash, nil] namespace, name, version, state, tag, correlation_id, created_after, created_before, parent_task_id
    #   @param before_task_id [Integer, nil] the last id of the page before
    #   @return [Array<TaskSummary>] the newest first
    function :list_tasks, "filters jsonb?, max_tasks int?, before_task_id bigint?", [TaskSummary]

    # @!method cancel_task(task_id, reason: nil)
    #   @return [Boolean] false when it was cancelled already
    #   @raise [TaskNotFound, TaskNotActive]
    function :cancel_task, "task_id bigint, reason text?", :value

    # @!method pause_task(task_id, reason: nil)
    #   @return [Boolean] false when it was paused already
    #   @raise [TaskNotFound, TaskNotActive]
    function :pause_task, "task_id bigint, reason text?", :value

    # @!method resume_task(task_id, reason: nil)
    #   @return [Boolean] false when it was not paused
    #   @raise [TaskNotFound, TaskNotActive]
    function :resume_task, "task_id bigint, reason text?", :value

    # @!method retry_task(task_id, reason: nil)
    #   @return [Integer] how many failed steps it goes on from; 0 for a task not in error
    #   @raise [TaskNotFound]
    function :retry_task, "task_id bigint, reason text?", :value

    # @!method cancel_tasks(filters, max_tasks: nil, dry_run: nil, reason: nil)
    #   @param filters [Hash] those of {#list_tasks}
    #   @param dry_run [Boolean, nil] false: cancel them; otherwise they are only listed
    #   @return [Array<ChangedTask>]
    function :cancel_tasks, "filters jsonb, max_tasks int?, dry_run boolean?, reason text?", [ChangedTask]

    # @!method retry_tasks(filters, max_tasks: nil, dry_run: nil, reason: nil)
    #   @param filters [Hash] those of {#list_tasks}
    #   @param dry_run [Boolean, nil] false: let them go on; otherwise they are only listed
    #   @return [Array<ChangedTask>]
    function :retry_tasks, "filters jsonb, max_tasks int?, dry_run boolean?, reason text?", [ChangedTask]

    # @!method erase_task_payload(task_id)
    #   @return [Boolean] false when it was erased before
    #   @raise [TaskNotFound, TaskNotActive] TaskNotActive: it is not final
    function :erase_task_payload, "task_id bigint", :value

    # @!method transition_task(task_id, to_state, expected_state: nil, reason: nil, metadata: nil)
    #   @param to_state [String] cancelled, resolved_manually or, from error, in_progress
    #   @return [Boolean] false when it is there already
    #   @raise [TaskNotFound, IllegalTransition, TaskNotActive]
    function :transition_task,
             "task_id bigint, to_state text, expected_state text?, reason text?, metadata jsonb?", :value

    # @!method get_task_execution_context(task_id)
    #   @return [TaskExecutionContext, nil] nil for an unknown task
    function :get_task_execution_context, "task_id bigint", TaskExecutionContext

    # @!method get_task_execution_contexts_batch(task_ids)
    #   @return [Array<TaskExecutionContext>]
    function :get_task_execution_contexts_batch, "task_ids bigint[]", [TaskExecutionContext]

    # @!method get_next_ready_tasks(max_tasks: nil)
    #   @return [Array<ReadyTask>] those whose steps would be claimed next
    function :get_next_ready_tasks, "max_tasks int?", [ReadyTask]

    # @!method task_graph(task_id, format: nil)
    #   @param format [String, nil] mermaid (the default), dot or text
    #   @return [String] coloured by state
    #   @raise [TaskNotFound, InvalidArgument]
    function :task_graph, "task_id bigint, format text?", :value

    # Not with the column of its SQL function alone: the rows carry the task's id too.
    # @return [Array<Violation>] empty when every invariant holds
    def verify_task(task_id)
      connection.call(:verify_task, task_id: task_id).map { |row| Violation.from_row({ task_id: task_id, **row }) }
    end
    Functions.declare(:verify_task, "task_id bigint", [Violation])

    # @!method verify_all(max_tasks: nil)
    #   @return [Array<Violation>] of all unfinished tasks and the newest finished ones
    function :verify_all, "max_tasks int?", [Violation]

    # @!endgroup
    # @!group Steps

    # @!method get_step(workflow_step_id)
    #   @return [Hash] with every attempt and every move by hand
    #   @raise [StepNotFound]
    function :get_step, "workflow_step_id bigint", :value

    # @!method explain_step(workflow_step_id)
    #   @return [Array<Explanation>] why the step is not running, the most decisive reason first
    #   @raise [StepNotFound]
    function :explain_step, "workflow_step_id bigint", [Explanation]

    # @!method get_step_readiness_status(task_id, step_ids: nil)
    #   @param step_ids [Array<Integer>, nil] nil for all
    #   @return [Array<StepReadiness>] by id
    function :get_step_readiness_status, "task_id bigint, step_ids bigint[]?", [StepReadiness]

    # @!method get_step_readiness_status_batch(task_ids)
    #   @return [Array<StepReadiness>]
    function :get_step_readiness_status_batch, "task_ids bigint[]", [StepReadiness]

    # @!method calculate_dependency_levels(task_id)
    #   @return [Array<DependencyLevel>]
    function :calculate_dependency_levels, "task_id bigint", [DependencyLevel]

    # @!method get_step_transitive_dependencies(workflow_step_id)
    #   @return [Array<Ancestor>] the nearest first
    #   @raise [StepNotFound]
    function :get_step_transitive_dependencies, "workflow_step_id bigint", [Ancestor]

    # @!method reset_step(workflow_step_id, reason: nil)
    #   @return [StepMove]
    #   @raise [StepNotFound, IllegalTransition, TaskNotActive]
    function :reset_step, "workflow_step_id bigint, reason text?", StepMove

    # @!method resolve_step(workflow_step_id, results:, reason: nil)
    #   @param results any JSON value: what the step's children get
    #   @return [StepMove]
    #   @raise [StepNotFound, IllegalTransition, TaskNotActive]
    function :resolve_step, "workflow_step_id bigint; results jsonb, reason text?", StepMove

    # @!method skip_step(workflow_step_id, reason: nil)
    #   @return [StepMove]
    #   @raise [StepNotFound, IllegalTransition, TaskNotActive]
    function :skip_step, "workflow_step_id bigint, reason text?", StepMove

    # @!method transition_step(workflow_step_id, to_state, expected_state: nil, reason: nil, metadata: nil, results: nil)
    #   @param to_state [String] pending, cancelled, skipped or resolved_manually
    #   @return [Boolean] false when it is there already
    #   @raise [StepNotFound, IllegalTransition, TaskNotActive]
    function :transition_step,
             "workflow_step_id bigint, to_state text, expected_state text?, reason text?, metadata jsonb?, " \
             "results jsonb?", :value

    # @!endgroup
    # @!group Workers' verbs

    # @!method claim_steps(worker_id:, max_steps: nil, namespaces: nil, lease_seconds: nil, task_id: nil, task_names: nil, queues: nil, shard_keys: nil)
    #   @param task_names [Array<String>, nil] 'namespace/name' or 'namespace/name@version'; nil for all
    #   @return [Array<Claim>]
    function :claim_steps,
             "; worker_id text, max_steps int?, namespaces text[]?, lease_seconds float8?, task_id bigint?, " \
             "task_names text[]?, queues text[]?, shard_keys int[]?", [Claim]

    # @!method complete_step(workflow_step_id:, claim_token:, results:)
    #   @param results any JSON value; nil is stored as JSON null
    #   @return [Completion]
    #   @raise [LeaseLost, SchemaMismatch, SerializationError]
    function :complete_step, "; workflow_step_id bigint, claim_token bigint, results jsonb", Completion

    # @!method complete_steps(workflow_step_ids:, claim_tokens:, results:)
    #   Three arrays of equal length. One bad item does not spoil the others.
    #   @return [Array<BatchCompletion>]
    function :complete_steps, "; workflow_step_ids bigint[], claim_tokens bigint[], results jsonb[]",
             [BatchCompletion]

    # @!method complete_and_claim(workflow_step_ids:, claim_tokens:, results:, worker_id:, max_steps: nil, namespaces: nil, lease_seconds: nil, task_id: nil, task_names: nil, queues: nil, shard_keys: nil)
    #   {#complete_steps} and {#claim_steps} in one call and one commit.
    #   @return [Array<BatchClaim>] the claims, and a row for each item that was not completed
    function :complete_and_claim,
             "; workflow_step_ids bigint[], claim_tokens bigint[], results jsonb[], worker_id text, max_steps int?, " \
             "namespaces text[]?, lease_seconds float8?, task_id bigint?, task_names text[]?, queues text[]?, " \
             "shard_keys int[]?", [BatchClaim]

    # @!method fail_step(workflow_step_id:, claim_token:, error:, retryable: nil, retry_after_seconds: nil)
    #   @param error [Hash] what went wrong; stored with the attempt
    #   @param retryable [Boolean, nil] false: never try again
    #   @param retry_after_seconds [Numeric, nil] beats the template's backoff
    #   @return [Failure]
    #   @raise [LeaseLost]
    function :fail_step,
             "; workflow_step_id bigint, claim_token bigint, error jsonb, retryable boolean?, " \
             "retry_after_seconds float8?", Failure

    # @!method heartbeat(worker_id:, workflow_step_ids:, claim_tokens:, lease_seconds: nil)
    #   @return [Array<Integer>] ids of the steps that were lost
    function :heartbeat, "; worker_id text, workflow_step_ids bigint[], claim_tokens bigint[], lease_seconds float8?",
             :values

    # @!method release_steps(workflow_step_ids:, claim_tokens:, delay_seconds: nil)
    #   @return [Integer] how many were given back
    function :release_steps, "; workflow_step_ids bigint[], claim_tokens bigint[], delay_seconds float8?", :value

    # @!method checkpoint_step(workflow_step_id:, claim_token:, checkpoint:, **options)
    #   @param checkpoint [Object] any JSON value: how far the step has come, for whoever claims it next
    #   @option options [Boolean] :yield give the step back at once, without counting an attempt
    #   @return [Boolean] true
    #   @raise [LeaseLost]
    function :checkpoint_step, "; workflow_step_id bigint, claim_token bigint, checkpoint jsonb, yield boolean?",
             :value

    # @!endgroup
    # @!group Events

    # @!method publish_event(name, payload: nil, task_id: nil, workflow_step_id: nil)
    #   @return [Integer] the event's id
    #   @raise [InvalidArgument, TaskNotFound, StepNotFound]
    function :publish_event, "name text, payload jsonb?, task_id bigint?, workflow_step_id bigint?", :value

    # @!method send_signal(task_id, name, payload: nil)
    #   @return [Boolean] whether a waiting step took it; else it is kept for the next that waits for the name
    #   @raise [InvalidArgument, TaskNotFound, TaskNotActive]
    function :send_signal, "task_id bigint, name text, payload jsonb?", :value

    # @!method read_events(after: nil, max_events: nil, pattern: nil)
    #   @param after [String, nil] the cursor of the last event that was read; nil for the first
    #   @param pattern [String, nil] of names, in which * stands for any characters
    #   @return [Array<Event>] oldest first
    #   @raise [CursorExpired] when events after the cursor are gone already
    function :read_events, "after text?, max_events int?, pattern text?", [Event]

    # @!method events_lag
    #   @return [EventsLag] how far {#read_events} can read, and who holds it back
    function :events_lag, "", EventsLag

    # @!endgroup
    # @!group Operations

    # @!method run_maintenance(max_items: nil)
    #   @return [Hash] counts of what was done
    function :run_maintenance, "max_items int?", :value

    # @!method run_sql_steps(max_steps: nil, namespaces: nil)
    #   @return [Array<SqlStepRun>] of the steps that this connection's role registered
    function :run_sql_steps, "max_steps int?, namespaces text[]?", [SqlStepRun]

    # @!method pause_namespace(namespace, reason: nil)
    #   No step of the namespace is claimed until it is resumed; claims in hand may end.
    #   @return [Boolean] false when it is paused already
    function :pause_namespace, "namespace text, reason text?", :value

    # @!method resume_namespace(namespace, reason: nil)
    #   @return [Boolean] false when it is not paused
    function :resume_namespace, "namespace text, reason text?", :value

    # @!method pause_template(name, namespace: nil, reason: nil)
    #   The same for one template, in all its versions.
    #   @return [Boolean] false when it is paused already
    #   @raise [TemplateNotFound]
    function :pause_template, "name text, namespace text?, reason text?", :value

    # @!method resume_template(name, namespace: nil, reason: nil)
    #   @return [Boolean] false when it is not paused
    #   @raise [TemplateNotFound]
    function :resume_template, "name text, namespace text?, reason text?", :value

    # @!method list_pauses(namespace: nil)
    #   @return [Array<Pause>] the newest first; resumed_at is nil for what is paused now
    function :list_pauses, "namespace text?", [Pause]

    # @!method create_schedule(name, task_name, cron, context: nil, namespace: nil, version: nil, timezone: nil, priority: nil, catch_up: nil)
    #   @param cron [String] five fields of a crontab, or @daily and the like, on the wall clock of timezone
    #   @param timezone [String, nil] default UTC
    #   @param catch_up [String, nil] of several times that passed unnoticed: latest (default) or all
    #   @return [ScheduleCreation]
    #   @raise [TemplateNotFound, SchemaMismatch]
    function :create_schedule, "name text, task_name text, cron text, context jsonb?, namespace text?, version text?, " \
                               "timezone text?, priority int?, catch_up text?", ScheduleCreation

    # @!method list_schedules(namespace: nil)
    #   @return [Array<Schedule>]
    function :list_schedules, "namespace text?", [Schedule]

    # @!method pause_schedule(name, namespace: nil)
    #   @return [Boolean] false when it is paused already
    function :pause_schedule, "name text, namespace text?", :value

    # @!method resume_schedule(name, namespace: nil)
    #   @return [Boolean] false when it is not paused
    function :resume_schedule, "name text, namespace text?", :value

    # @!method drop_schedule(name, namespace: nil)
    #   @return [Boolean] false when there is none
    function :drop_schedule, "name text, namespace text?", :value

    # @!method configure(name, value: nil)
    #   @param name [String] retention_days or idempotency_retention_days
    #   @param value [String, Integer, nil] nil: for ever
    #   @return [nil]
    function :configure, "name text, value text?", :value

    # @!method detect_stale_tasks(dry_run: nil, max_tasks: nil)
    #   @param dry_run [Boolean, nil] false: act on them
    #   @return [Array<StaleTask>]
    function :detect_stale_tasks, "dry_run boolean?, max_tasks int?", [StaleTask]

    # @!method create_dead_letter(task_id, notes: nil)
    #   @return [Integer] id of the pending entry
    #   @raise [TaskNotFound, TaskNotActive]
    function :create_dead_letter, "task_id bigint, notes text?", :value

    # @!method resolve_dead_letter(dead_letter_id, resolution, notes: nil)
    #   @param resolution [String] manually_resolved, permanently_failed or cancelled
    #   @return [Boolean] false when it is closed so already
    #   @raise [InvalidArgument, IllegalTransition]
    function :resolve_dead_letter, "dead_letter_id bigint, resolution text, notes text?", :value

    # @!method get_system_health_counts
    #   @return [SystemHealth]
    function :get_system_health_counts, "", SystemHealth

    # @!method get_analytics_metrics(since: nil)
    #   @param since [Time, nil] nil for the last hour
    #   @return [AnalyticsMetrics]
    function :get_analytics_metrics, "since timestamptz?", AnalyticsMetrics

    # @!method get_slowest_steps(since: nil, limit_count: nil, namespace: nil, name: nil, version: nil)
    #   @return [Array<SlowStep>]
    function :get_slowest_steps,
             "since timestamptz?, limit_count int?, namespace text?, name text?, version text?", [SlowStep]

    # @!method get_slowest_steps_aggregated(since: nil, limit_count: nil, min_executions: nil, namespace: nil, name: nil, version: nil)
    #   @return [Array<SlowTemplateStep>]
    function :get_slowest_steps_aggregated,
             "since timestamptz?, limit_count int?, min_executions int?, namespace text?, name text?, version text?",
             [SlowTemplateStep]

    # @!method get_slowest_tasks(since: nil, limit_count: nil, namespace: nil, name: nil, version: nil)
    #   @return [Array<SlowTask>]
    function :get_slowest_tasks,
             "since timestamptz?, limit_count int?, namespace text?, name text?, version text?", [SlowTask]

    # @!method get_slowest_tasks_aggregated(since: nil, limit_count: nil, min_executions: nil, namespace: nil, name: nil, version: nil)
    #   @return [Array<SlowTemplate>]
    function :get_slowest_tasks_aggregated,
             "since timestamptz?, limit_count int?, min_executions int?, namespace text?, name text?, version text?",
             [SlowTemplate]

    # @!method calculate_backoff(strategy, attempt, base_ms: nil, max_ms: nil, jitter: nil, seed: nil)
    #   @return [Integer] milliseconds
    #   @raise [InvalidArgument]
    function :calculate_backoff,
             "strategy text, attempt int, base_ms bigint?, max_ms bigint?, jitter float8?, seed bigint?", :value

    # @!method library_version
    #   @return [String] version of the loaded library
    function :library_version, "", :value

    # @!endgroup

    # @!group Access

    # @!method grant_access(role, access, namespaces: nil)
    #   @param role [String] a role of the server
    #   @param access [String] producer, worker, reader, operator or admin
    #   @return [Boolean] false when the role had it already
    #   @raise [InvalidArgument]
    function :grant_access, "role regrole, access text, namespaces text[]?", :value

    # @!method revoke_access(role, access, namespaces: nil)
    #   @return [Boolean] false when the role did not have it
    #   @raise [InvalidArgument]
    function :revoke_access, "role regrole, access text, namespaces text[]?", :value

    # @!method list_access
    #   @return [Array<AccessGrant>]
    function :list_access, "", [AccessGrant]

    # @!method function_access
    #   @return [Array<FunctionAccess>]
    function :function_access, "", [FunctionAccess]

    # @!endgroup

    private

    def invoke(name, arguments)
      Functions.table.fetch(name).shape(connection.call(name, **arguments))
    end
  end
end
