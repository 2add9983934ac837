# frozen_string_literal: true

module TaskerCore
  # Steps that run as tasks of their own: how a template says so, and how parent and child find each other.
  #
  #   ship = TaskerCore::SubWorkflow.step("ship", "shipping", namespace: "warehouse", depends_on: ["pay"],
  #                                       context: { order: TaskerCore::SubWorkflow.path("context.order_id") })
  #   TaskerCore.register({ name: "order", steps: [{ name: "pay" }, ship, { name: "mail", depends_on: ["ship"] }] })
  #
  # The handler of `mail` has what came of it in {StepSequence#workflow}:
  #
  #   sequence.workflow("ship").results_of("label")
  #
  # Which task runs for which step is for those who may look at tasks (access `reader`); what a child
  # has to know of its parent belongs into its context.
  module SubWorkflow
    # What came of a sub-workflow: its task, and the results of the steps that end it.
    Result = Value.define(:task_id, :results) do
      # @return [Array<String>] names of the steps that nothing depends on
      def steps = results.keys

      # @return the results of one of them
      # @raise [KeyError] when it is none of them
      def results_of(name)
        results.fetch(name.to_s) { raise KeyError, "step #{name} does not end the sub-workflow; those that do: #{steps.join(", ")}" }
      end
    end

    # The step that a task runs for.
    Parent = Value.define(:task_id, :workflow_step_id, :step_name)

    # workflow_step_id = task_id * this + step_no
    STEPS_PER_TASK = 1_000_000
    # States in which a task goes on by itself.
    OPEN = %w[pending in_progress].freeze
    # So many rows a call.
    PAGE = 1_000
    private_constant :STEPS_PER_TASK, :OPEN, :PAGE

    module_function

    # A step of a template that runs as a task of another one, for the template's `steps`.
    #
    # @param name [String, Symbol] of the step
    # @param template [String, Symbol] name of the template it runs
    # @param namespace [String, nil] of that; nil for the one of the template it is a step of
    # @param version [String, nil] nil for the highest there is when the step's turn comes
    # @param context [Object, nil] of the task, in which a {path} stands for what it leads to; nil for that of the parent
    # @param keys [Hash] further keys of the step: `depends_on`, `when`, `on_failure`, ...
    # @return [Hash]
    def step(name, template, namespace: nil, version: nil, context: nil, **keys)
      workflow = { name: template.to_s, namespace: namespace, version: version, context: context }.compact
      { name: name.to_s, workflow: workflow, **keys }
    end

    # In the context of a {step}: what stands there in the parent's context, or in a result.
    #
    #   path("context.order_id")                  # parts separated by dots,
    #   path("results", "my.step", "lines", 0)    # or each by itself, which may hold dots then
    #
    # @param parts [Array<String, Symbol, Integer>]
    # @return [Hash]
    def path(*parts)
      raise ArgumentError, "name the path: context or results.STEP, then keys and positions" if parts.empty?

      { path: parts.size == 1 ? parts.first.to_s : parts.map { |part| part.is_a?(Integer) ? part : part.to_s } }
    end

    # @param results [Object, nil] of a step that ran as a task
    # @param name [String] of the step, for the error
    # @return [Result, nil] nil for nil
    # @raise [PermanentError] when they are no sub-workflow's
    def result(results, name = "step")
      return if results.nil?
      unless results.is_a?(Hash) && results["task_id"].is_a?(Integer) && results["results"].is_a?(Hash)
        raise PermanentError.new("the result of #{name} is no sub-workflow's", error_code: "NO_WORKFLOW")
      end

      Result.new(task_id: results["task_id"], results: results["results"])
    end

    # The newest task that runs, or ran, for a step; with more names the one below it, and so on.
    #
    #   SubWorkflow.child(42, "ship")            # of step ship of task 42
    #   SubWorkflow.child(42, "ship", "pack")    # of step pack of that
    #
    # @param names [Array<String, Symbol>] of steps, from the top
    # @return [Integer, nil] its id; nil where nothing has run yet
    # @raise [TaskNotFound]
    # @raise [StepNotFound] when the task has no step of that name
    def child(task_id, *names, client: TaskerCore.client)
      raise ArgumentError, "name the step" if names.empty?

      names.reduce(task_id) do |id, name|
        step = client.get_task(id).fetch("steps").find { |one| one.fetch("name") == name.to_s }
        raise StepNotFound, "task #{id} has no step #{name}" unless step

        step["child_task_id"] || (return nil)
      end
    end

    # Every task that runs, or ran, for steps of this one; `parent_step_id` tells for which.
    # @return [Array<TaskSummary>] the newest first
    def children(task_id, client: TaskerCore.client)
      filters = { parent_task_id: task_id }
      found = []
      loop do
        page = client.list_tasks(filters: filters, max_tasks: PAGE, before_task_id: found.last&.task_id)
        found.concat(page)
        return found if page.size < PAGE
      end
    end

    # Those of them that go on by themselves, for whoever runs steps in this process.
    # @api private
    # @return [Array<TaskSummary>] the oldest first
    def open_children(task_id, client: TaskerCore.client)
      children(task_id, client: client).select { |task| OPEN.include?(task.state) }.reverse
    end

    # @return [Parent, nil] nil for a task that runs for nobody's step
    # @raise [TaskNotFound]
    def parent(task_id, client: TaskerCore.client)
      id = client.get_task(task_id).fetch("task")["parent_step_id"] or return

      Parent.new(task_id: id / STEPS_PER_TASK, workflow_step_id: id, step_name: client.get_step(id).fetch("name"))
    end
  end
end
