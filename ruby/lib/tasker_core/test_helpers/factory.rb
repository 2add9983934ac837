# frozen_string_literal: true

module TaskerCore
  # Templates, tasks and handlers for tests. Everything is registered and created
  # on {TaskerCore.client}, under names of its own, and every error is raised.
  #
  # The patterns, each a Hash of steps and their parents:
  # - `:linear` a chain of four
  # - `:diamond` one, two beside each other, one that joins them
  # - `:tree` a root, two branches with two leaves each
  # - `:mixed` two roots, parts of which run in parallel, with joins that overlap
  # - `:order_fulfillment` a small order process
  module Factory
    PATTERNS = {
      linear: { first: [], second: [:first], third: [:second], fourth: [:third] },
      diamond: { start: [], left: [:start], right: [:start], finish: %i[left right] },
      tree: { root: [], branch_a: [:root], branch_b: [:root], leaf_a1: [:branch_a], leaf_a2: [:branch_a],
              leaf_b1: [:branch_b], leaf_b2: [:branch_b] },
      mixed: { root_a: [], root_b: [], a1: [:root_a], a2: [:root_a], b1: [:root_b], join_ab: %i[a1 b1],
               join_all: %i[a2 join_ab], tail: [:join_all] },
      order_fulfillment: { validate_order: [], check_inventory: [:validate_order], authorize_payment: [:validate_order],
                           reserve_inventory: %i[check_inventory authorize_payment],
                           capture_payment: [:reserve_inventory], ship_order: [:capture_payment],
                           notify_customer: [:ship_order] }
    }.each_value(&:freeze).freeze

    # A handler that does what its configuration says: `fail` attempts fail first (`permanent`: for good),
    # then `result` is returned, by default who ran and what came from the parents.
    class Scripted < StepHandler::Base
      # @see StepHandler::Base#process
      def process(_task, sequence, step)
        if step.attempt <= config.fetch("fail", 0)
          raise (config["permanent"] ? PermanentError : RetryableError), "attempt #{step.attempt} fails as it should"
        end

        config.fetch("result") { { "step" => step.name, "parents" => sequence.dependencies } }
      end
    end

    class << self
      # @param pattern [Symbol, Hash{Symbol => Array<Symbol>}] one of {PATTERNS}, or steps with their parents
      # @param script [Hash{Symbol => Hash}] configuration of {Scripted} by step
      # @param handler [String] class that all steps get
      # @param more [Hash] further keys of the template
      # @return [Hash] a template nobody registered yet
      # @raise [ArgumentError] for an unknown pattern or step
      def template(pattern = :linear, name: nil, namespace: nil, version: "1.0.0", script: {}, handler: Scripted.name,
                   max_attempts: 3, backoff_base_ms: 10, **more)
        steps = pattern.is_a?(Hash) ? pattern : PATTERNS.fetch(pattern) { raise ArgumentError, "no pattern #{pattern}" }
        unknown = script.keys.map(&:to_sym) - steps.keys.map(&:to_sym)
        raise ArgumentError, "no step #{unknown.join(", ")}" unless unknown.empty?

        {
          name: name || "#{pattern.is_a?(Hash) ? "custom" : pattern}_#{SecureRandom.hex(6)}",
          namespace: namespace || "factory", version: version,
          steps: steps.map do |step, parents|
            { name: step.to_s, depends_on: Array(parents).map(&:to_s),
              handler: { callable: handler, initialization: script[step.to_sym] || {} },
              retry: { max_attempts: max_attempts, backoff_base_ms: backoff_base_ms, jitter: 0 } }
          end, **more
        }
      end

      # A registered template.
      # @see .template
      # @return [RegisteredTemplate]
      def foundation(pattern = :linear, **options)
        TaskerCore.client.register_task_template(template(pattern, **options))
      end

      # A task of a template that is registered for it.
      # @param options [Hash] of {Client#create_task} and of {.template}
      # @return [CreatedTask]
      def task(pattern = :linear, context: {}, **options)
        of_task = %i[idempotency_key priority run_at initiator source_system reason tags correlation_id
                     parent_correlation_id]
        registered = foundation(pattern, **options.except(*of_task))
        TaskerCore.client.create_task(registered.name, namespace: registered.namespace, version: registered.version,
                                                       context: context, **options.slice(*of_task))
      end

      # A step of a task: of the given one, or of a new one.
      # @return [StepReadiness]
      # @raise [StepNotFound]
      def workflow_step(name, task_id: nil, pattern: :linear, **options)
        task_id ||= task(pattern, **options).task_id
        TaskerCore.client.get_step_readiness_status(task_id).find { |step| step.name == name.to_s } ||
          raise(StepNotFound, "task #{task_id} has no step #{name}")
      end
    end
  end
end
