# frozen_string_literal: true

module TaskerCore
  # A template and who runs its steps.
  module TaskHandler
    # One template with a handler for each of its steps. All handlers are built
    # here, once, and everything that is wrong with them is reported at once.
    class Base
      # Names of steps made at run time.
      INSTANCE = /\A(.+?)(?:\[\d+\]|_\d+)\z/m
      private_constant :INSTANCE

      # @return [Template]
      attr_reader :template
      # @return [Hash{String => Object}] handlers by step name, frozen
      attr_reader :step_handlers

      # @param config_path [String, nil] file of the template
      # @param config [Hash, Template, nil] the template itself
      # @param env [String, nil] which of the template's environments to merge
      # @param handlers [Hash{String => Object}] handlers to use instead of building them, by step name:
      #   objects, procs, or classes of handlers
      # @param blocks [Hash{String => Proc}] handlers of steps for which the template names none
      # @raise [TemplateError] when there is not exactly one template
      # @raise [HandlerNotFound] listing every class that is missing or unusable
      def initialize(config_path: nil, config: nil, env: Template.default_env, handlers: {}, blocks: {})
        @template = template_from(config_path, config, env)
        @steps = @template.steps.select(&:for_worker?)
        @methods = @steps.to_h { |step| [step.name, (step.handler_method || :process).to_sym] }.freeze
        @step_handlers = build_handlers(handlers.transform_keys(&:to_s), blocks.transform_keys(&:to_s)).freeze
        @shaping = @step_handlers.transform_values { |handler| HandlerFactory.shapes_results?(handler) }.freeze
      end

      # @return the handler, or nil
      def get_step_handler_from_name(name) = step_handlers[name.to_s]

      # Instances of maps are named STEP[0], those of batch workers STEP_001; of others only batchable steps have inputs.
      #
      # @param name [String] of a step
      # @param inputs [Object, nil] what it was given at run time
      # @return [String, nil] the name in the template of what this is a step of
      def definition_name(name, inputs = nil)
        return name if step_handlers.key?(name)

        name[INSTANCE, 1].then { |base| base if step_handlers.key?(base) } unless inputs.nil?
      end

      # Runs one step.
      # @param task [Task]
      # @param sequence [StepSequence]
      # @param step [Step]
      # @return the results
      def process_step_with_handler(task, sequence, step)
        name = definition_name(step.name, step.inputs)
        raise HandlerNotFound, "#{template.full_name} has no step #{step.name}" unless name

        handler = step_handlers.fetch(name)
        output = handler.public_send(@methods.fetch(name), task, sequence, step)
        return output if !@shaping.fetch(name) || step.completed?

        handler.process_results(step, output, nil)
      end

      # Registers the template.
      # @return [RegisteredTemplate]
      def register!(client: TaskerCore.client) = client.register_task_template(template)

      # Creates a task of this template and version.
      # @param context [Hash]
      # @param options [Hash] of {Client#create_task}
      # @return [CreatedTask]
      def initialize_task(context = {}, client: TaskerCore.client, **options)
        client.create_task(template.name, namespace: template.namespace, version: template.version, context: context,
                                          **options)
      end

      # Runs the steps of one task in this thread and on this connection, as long as any is ready; those of
      # its sub-workflows too, as far as their handlers are registered.
      # @param registry [Registry] where the handlers of sub-workflows are
      # @return [HandleResult] with the steps that were run, in order
      # @raise [TaskNotFound]
      def handle(task_id, client: TaskerCore.client, registry: TaskerCore.registry)
        steps = run_ready(task_id, Inline.new(client: client), registry)
        execution = client.get_task_execution_context(task_id)
        raise TaskNotFound, "task #{task_id} does not exist" unless execution

        HandleResult.new(task_id: task_id, status: execution.status, steps: steps.freeze)
      end

      # Runs one step in this thread and on this connection, if it is ready.
      # @return [StepHandleResult] with status not_ready, and why in its error, if it is not
      # @raise [StepNotFound]
      def handle_one_step(workflow_step_id, client: TaskerCore.client)
        inline = Inline.new(client: client)
        reasons = client.explain_step(workflow_step_id)
        claims = inline.claim(task_id: workflow_step_id / STEPS_PER_TASK, task_names: [template.full_name],
                              max_steps: MOST_CLAIMS)
        wanted, others = claims.partition { |claim| claim.workflow_step_id == workflow_step_id }
        inline.give_back(others)
        return inline.run(wanted.first, self) if wanted.any?

        not_ready(client.get_step(workflow_step_id), workflow_step_id, reasons)
      end

      # Runs what is ready, and what becomes so.
      # @api private
      # @param inline [Inline]
      # @return [Array<StepHandleResult>]
      def run_ready(task_id, inline, registry)
        steps = []
        loop do
          while (claim = inline.claim(task_id: task_id, task_names: [template.full_name]).first)
            steps << inline.run(claim, self)
          end
          below = template.workflows.empty? ? [] : run_sub_workflows(task_id, inline, registry)
          return steps if below.empty?

          steps.concat(below)
        end
      end

      # workflow_step_id = task_id * this + step_no
      STEPS_PER_TASK = 1_000_000
      # That claim_steps gives in one call.
      MOST_CLAIMS = 10_000
      private_constant :STEPS_PER_TASK, :MOST_CLAIMS

      private

      def run_sub_workflows(task_id, inline, registry)
        SubWorkflow.open_children(task_id, client: inline.client).flat_map do |child|
          registry.fetch(child.full_task_name, child.version)&.run_ready(child.task_id, inline, registry) || []
        end
      end

      def not_ready(step, workflow_step_id, reasons)
        why = reasons.map { |reason| "#{reason.reason}: #{reason.detail}" }.join("; ")
        StepHandleResult.new(
          workflow_step_id: workflow_step_id, task_id: workflow_step_id / STEPS_PER_TASK, step_name: step["name"],
          status: "not_ready", results: nil, error: Error.new(why), attempt: step["attempts"],
          max_attempts: step["max_attempts"], next_retry_at: nil, execution_time_ms: 0
        )
      end

      def template_from(config_path, config, env)
        raise ArgumentError, "give either config_path: or config:" unless config_path.nil? ^ config.nil?
        return config if config.is_a?(Template)
        return Template.new(config, env: env) if config

        templates = Template.load(config_path, env: env)
        raise TemplateError, "#{config_path} holds #{templates.size} templates, not one" if templates.size > 1

        templates.first
      end

      def build_handlers(handlers, blocks)
        faults = unknown_steps(handlers)
        built = @steps.each_with_object({}) do |step, result|
          given = handlers.fetch(step.name) { step.handler_class ? nil : blocks[step.name] }
          handler = given ? HandlerFactory.adopt(given, step) : HandlerFactory.build(step)
          HandlerFactory.check(handler, @methods.fetch(step.name))
          result[step.name] = handler
        rescue HandlerNotFound => e
          faults << "step #{step.name}: #{e.message}"
        end
        return built if faults.empty?

        raise HandlerNotFound, "#{template.path || template.full_name}:\n  #{faults.join("\n  ")}"
      end

      def unknown_steps(handlers)
        (handlers.keys - @methods.keys).map { |name| "step #{name}: no step of the template that a worker runs" }
      end
    end
  end

  # From a step of a template to the object that runs it.
  #
  # @api private
  module HandlerFactory
    module_function

    # @param step [Template::StepDefinition]
    # @return the handler
    # @raise [HandlerNotFound]
    def build(step)
      raise HandlerNotFound, "names no handler" if step.handler_class.to_s.empty?
      if step.handler_resolver
        raise HandlerNotFound, "handler.resolver #{step.handler_resolver} is not known to this client"
      end

      instantiate(constant(step.handler_class), step.handler_config)
    end

    # @param handler an object that processes steps, a Proc, or a class to be instantiated
    # @return the handler
    # @raise [HandlerNotFound]
    def adopt(handler, step)
      return StepHandler::Block.new(handler) if handler.is_a?(Proc)

      handler.is_a?(Class) ? instantiate(handler, step.handler_config) : handler
    rescue ConfigurationError => e
      raise HandlerNotFound, e.message
    end

    # @raise [HandlerNotFound] unless the handler can be called with (task, sequence, step)
    def check(handler, method)
      unless handler.respond_to?(method)
        raise HandlerNotFound, "#{name_of(handler)} has no public method #{method}(task, sequence, step)"
      end

      arity = handler.method(method).arity
      return if arity == 3 || (arity.negative? && ~arity <= 3)

      raise HandlerNotFound, "#{name_of(handler)}##{method} must take (task, sequence, step)"
    end

    # @return [Boolean] whether there is a process_results that is not the one that changes nothing
    def shapes_results?(handler)
      handler.respond_to?(:process_results) && handler.method(:process_results).owner != StepHandler::Base
    end

    def constant(name)
      Object.const_get(name)
    rescue NameError => e
      raise HandlerNotFound, "class #{name} is not defined (#{e.message.lines.first.chomp})"
    end

    def instantiate(constant, config)
      raise HandlerNotFound, "#{constant.inspect} is no class" unless constant.is_a?(Module)
      return constant unless constant.is_a?(Class)

      takes_config = constant.instance_method(:initialize).parameters.any? do |kind, name|
        kind == :keyrest || (%i[key keyreq].include?(kind) && name == :config)
      end
      takes_config ? constant.new(config: config) : constant.new
    rescue HandlerNotFound
      raise
    rescue StandardError => e
      raise HandlerNotFound, "#{constant.name} cannot be built: #{e.class}: #{e.message.lines.first.to_s.chomp}"
    end

    def name_of(handler) = handler.is_a?(Module) ? handler.name : handler.class.name
    private_class_method :constant, :instantiate, :name_of
  end
end
