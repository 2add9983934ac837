# frozen_string_literal: true

require_relative "limited_templates"
require_relative "model"

module ModelTest
  # Random templates. Every delay and lease is so long, and so far from any sum of others, that the
  # seconds a run takes never decide what is due: only the steps of the test clock do.
  class Generator
    include LimitedTemplates

    TICK = 600                  # seconds; the test clock moves by multiples of it
    LEASES = [600, 600, 1200, 450.25, 6000, 86_400].freeze
    DELAYS = [0, 0, 600, 1200, 450.25, 7200].freeze
    RESULTS = [nil, false, 0, "", [], {}, { "total" => 12.5 }, [1, nil, "x"], "text"].freeze
    LONG = "x" * 400            # three of them are too many where results of maps may have a kilobyte
    LISTS = [[], [1], [nil, "x"], [{ "total" => 1 }, [], 3], [1, 2, 3, 4]].freeze
    QUEUES = %w[default default default gpu].freeze

    def initialize(random)
      @random = random
    end

    # @param size [Integer, nil] how many steps
    # @param plain [Boolean] without steps that decide or wait
    def template(namespace, name, version, size: nil, plain: @random.rand < 0.3)
      steps = size.nil? && @random.rand < 0.06 ? layered : scattered(size || 1 + @random.rand(12))
      fail_fast = @random.rand < 0.2
      steps.each { |step| vary(step, steps, fail_fast) } unless plain
      mapped = !plain && @random.rand < 0.6 ? 0.35 : 0
      steps.each { |step| make_map(step, fail_fast) if @random.rand < mapped }
      Template.new(namespace: namespace, name: name, version: version, steps: steps, fail_fast: fail_fast)
    end

    # @return [Hash] as register_task_template takes it, in an order that is not topological
    def document(template)
      steps = template.steps.shuffle(random: @random).map { |step| step_document(step) }
      { "name" => template.name, "namespace" => template.namespace, "version" => template.version,
        "on_failure" => template.fail_fast ? "fail_fast" : "continue", "steps" => steps, **limit_document(template.limit) }
    end

    # What has an array where one of the maps looks for it.
    def wrapped(list, maps)
      (pick(maps) || { inside: [] })[:inside].reverse.reduce(list) do |inner, part|
        part.is_a?(Integer) ? [*[[0]] * part, inner] : { part => inner, "total" => 2 }
      end
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
                     on_failure: pick(%w[fail fail fail skip continue]), rule: "all_satisfied")
    end

    # What decides and waits.
    def vary(step, steps, fail_fast)
      step.rule = pick(%w[all_satisfied all_satisfied none_failed one_satisfied all_done]) if step.parents.any?
      counts = fail_fast && step.on_failure == "fail"
      case @random.rand
      when 0...0.12 then make_condition(step, counts)
      when 0.12...0.22 then make_wait(step, counts)
      when 0.22...0.32 then step.delay = pick([450.25, 1000.25])
      when 0.32...0.47 then make_decision(step, steps)
      when 0.47...0.55 then step.run_at = !counts
      end
    end

    def make_condition(step, counts)
      of = pick(["context", *step.parents])
      step.condition = if of == "context" then { of: of, op: ">", value: pick([-1, 20, 60, 1000]) }
                       else { of: of, op: pick(%w[exists missing = =]), value: pick([false, 0, "", nil]) }
                       end
      step.unmet = counts ? "skip" : pick(%w[skip fail])
    end

    # Roots may share a name: they begin to wait in the order of their numbers.
    def make_wait(step, counts)
      step.signal = { name: step.parents.empty? ? "go" : "go #{step.name}" }
      step.retryable = true
      step.max_attempts = 3
      step.timeout = nil
      return if @random.rand < 0.3

      step.signal.update(timeout: pick([600, 1200, 7200]), on_timeout: pick(counts ? %w[skip complete] : %w[fail skip complete]))
    end

    def make_decision(step, steps)
      return if steps.none? { |other| other.parents.include?(step.name) }

      step.decision = true
      step.on_failure = "skip" if step.on_failure == "continue"
    end

    # Over what the context has, or a parent's result.
    def make_map(step, fail_fast)
      return if step.signal || step.decision || !%w[all_satisfied none_failed].include?(step.rule)

      step.on_failure = "fail" if step.on_failure == "skip"
      step.unmet = "skip" if step.unmet && fail_fast && step.on_failure == "fail"
      step.run_at = nil if fail_fast && step.on_failure == "fail"
      step.map = { of: pick(["context.list", *step.parents, *step.parents]), parallelism: pick([nil, nil, 1, 2, 3]),
                   strategy: pick(%w[fail continue]), inside: pick([[], [], ["items"], ["pages", 1]]), spelt_out: @random.rand < 0.3 }
    end

    def map_document(map)
      parts = (map[:of] == "context.list" ? %w[context list] : ["results", map[:of]]) + map[:inside].map(&:to_s)
      { "over" => map[:spelt_out] ? parts : parts.join("."), "parallelism" => map[:parallelism],
        "failure_strategy" => map[:strategy] }.compact
    end

    def step_document(step)
      return common(step).merge("wait_for_signal" => signal_document(step.signal)) if step.signal

      common(step).merge("timeout_seconds" => step.timeout, "retry" => retry_document(step)).compact
    end

    def signal_document(signal)
      { "name" => signal[:name], "timeout_seconds" => signal[:timeout], "on_timeout" => signal[:on_timeout] }.compact
    end

    def condition_document(condition)
      path = condition[:of] == "context" ? "context.order" : ["results", condition[:of]]
      document = { "path" => path, "op" => condition[:op] }
      %w[exists missing].include?(condition[:op]) ? document : document.merge("value" => condition[:value])
    end

    def common(step)
      converges = step.rule == "none_failed" && @random.rand < 0.5
      {
        "name" => step.name, "depends_on" => step.parents.shuffle(random: @random), "queue" => step.queue,
        "priority" => step.priority, "on_failure" => step.on_failure,
        "type" => (if step.decision then "decision" elsif converges then "deferred_convergence" end),
        "trigger_rule" => (step.rule unless converges && !step.decision),
        "when" => step.condition && condition_document(step.condition), "when_unmet" => step.unmet,
        "delay_seconds" => step.delay, "run_at" => ("context.at" if step.run_at),
        "map" => step.map && map_document(step.map), **limit_document(step.limit)
      }.compact
    end

    def retry_document(step)
      { "retryable" => step.retryable, "max_attempts" => step.max_attempts, "backoff" => step.backoff,
        "backoff_base_ms" => step.base_ms, "max_backoff_ms" => step.cap_ms, "jitter" => 0 }
    end
  end
end
