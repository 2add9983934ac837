# frozen_string_literal: true

require_relative "model"

module ModelTest
  # Random templates. Every delay and lease is so long, and so far from any sum of others, that the
  # seconds a run takes never decide what is due: only the steps of the test clock do.
  class Generator
    TICK = 600                  # seconds; the test clock moves by multiples of it
    LEASES = [600, 600, 1200, 450.25, 6000, 86_400].freeze
    DELAYS = [0, 0, 600, 1200, 450.25, 7200].freeze
    RESULTS = [nil, false, 0, "", [], {}, { "total" => 12.5 }, [1, nil, "x"], "text"].freeze
    QUEUES = %w[default default default gpu].freeze

    def initialize(random)
      @random = random
    end

    # @param size [Integer, nil] how many steps
    def template(namespace, name, version, size: nil)
      steps = size.nil? && @random.rand < 0.06 ? layered : scattered(size || 1 + @random.rand(12))
      Template.new(namespace: namespace, name: name, version: version, steps: steps,
                   fail_fast: @random.rand < 0.2)
    end

    # @return [Hash] as register_task_template takes it, in an order that is not topological
    def document(template)
      steps = template.steps.shuffle(random: @random).map { |step| step_document(step) }
      { "name" => template.name, "namespace" => template.namespace, "version" => template.version,
        "on_failure" => template.fail_fast ? "fail_fast" : "continue", "steps" => steps }
    end

    # nil from an empty list
    def pick(list) = list.empty? ? nil : list[@random.rand(list.size)]

    private

    def scattered(size)
      names = (1..size).map { |i| "s#{i}" }
      density = @random.rand
      names.each_with_index.map do |name, i|
        step(name, names.first(i).select { @random.rand < density * 3 / (i + 1) })
      end
    end

    # Layers that are fully connected, or nearly.
    def layered
      width = 3 + @random.rand(4)
      (0...(20 + @random.rand(20)) / width).flat_map do |layer|
        (0...width).map do |i|
          above = layer.zero? ? [] : (0...width).map { |j| "l#{layer - 1}_#{j}" }
          step("l#{layer}_#{i}", above.reject { @random.rand < 0.1 })
        end
      end
    end

    def step(name, parents)
      base = TICK * 1000 * (1 + @random.rand(2))
      Definition.new(name: name, parents: parents, queue: pick(QUEUES), priority: pick([0, 0, 0, 1, -1, 7]),
                     retryable: @random.rand > 0.15, max_attempts: 1 + @random.rand(4),
                     backoff: pick(%w[none none linear exponential fibonacci]), base_ms: base,
                     cap_ms: base * (1 + @random.rand(4)), timeout: pick([nil, nil, nil, 600, 900, 1800]),
                     on_failure: pick(%w[fail fail fail skip continue]))
    end

    def step_document(step)
      {
        "name" => step.name, "depends_on" => step.parents.shuffle(random: @random), "queue" => step.queue,
        "priority" => step.priority, "timeout_seconds" => step.timeout, "on_failure" => step.on_failure,
        "retry" => { "retryable" => step.retryable, "max_attempts" => step.max_attempts, "backoff" => step.backoff,
                     "backoff_base_ms" => step.base_ms, "max_backoff_ms" => step.cap_ms, "jitter" => 0 }
      }.compact
    end
  end
end
