# frozen_string_literal: true

require_relative "family"
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
    MAP_RULES = %w[all_satisfied none_failed].freeze

    def initialize(random)
      @random = random
    end

    # @param size [Integer, nil] how many steps
    # @param plain [Boolean] without steps that decide or wait
    def template(namespace, name, version, size: nil, plain: @random.rand < 0.3)
      steps = size.nil? && @random.rand < 0.06 ? layered : scattered(size || 1 + @random.rand(12))
      fail_fast = @random.rand < 0.2
      furnish(steps, fail_fast) unless plain
      Template.new(namespace: namespace, name: name, version: version, steps: steps, fail_fast: fail_fast)
    end

    # One that begins with batches.
    def template_with_batches(namespace, name, version)
      steps = scattered(2 + @random.rand(4))
      fail_fast = @random.rand < 0.2
      cut, worker, *rest = steps
      worker.parents |= [cut.name]
      rest.each { |step| vary(step, steps, fail_fast) }
      make_batch_pair(cut, worker, fail_fast)
      rest.each { |step| make_map(step, fail_fast) if @random.rand < 0.2 }
      Template.new(namespace: namespace, name: name, version: version, steps: steps, fail_fast: fail_fast)
    end

    # Templates whose steps run as tasks of each other: the later of the earlier, and one of itself.
    def nested_templates(namespace)
      [["leaf", "1.0.0"], ["leaf", "1.1.0"], ["middle", "1.0.0"], ["top", "1.0.0"]].each_with_object([]) do |(name, version), all|
        template = template(namespace, name, version, size: 1 + @random.rand(name == "leaf" ? 3 : 5))
        template.nested = true
        template.needs = "order" if @random.rand < 0.3
        callees = all.map { |other| [other.name, other.version] } * 2
        callees << [name, nil] if name == "middle"
        nest(template, callees) unless name == "leaf"
        all << template
      end
    end

    # @return [Hash] as register_task_template takes it, in an order that is not topological
    def document(template)
      steps = template.steps.shuffle(random: @random).map { |step| step_document(step) }
      { "name" => template.name, "namespace" => template.namespace, "version" => template.version,
        "on_failure" => template.fail_fast ? "fail_fast" : "continue", "steps" => steps,
        "input_schema" => (template.needs && { "required" => [template.needs] }), **limit_document(template.limit) }.compact
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

    def furnish(steps, fail_fast)
      steps.each { |step| vary(step, steps, fail_fast) }
      make_batches(steps, fail_fast) if @random.rand < 0.5
      mapped = @random.rand < 0.6 ? 0.35 : 0
      steps.each { |step| make_map(step, fail_fast) if @random.rand < mapped }
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
      return if step.signal || step.decision || step.batches || step.map || !MAP_RULES.include?(step.rule)

      step.on_failure = "fail" if step.on_failure == "skip"
      calm(step, fail_fast)
      step.map = { of: pick(["context.list", *step.parents, *step.parents]), parallelism: pick([nil, nil, 1, 2, 3]),
                   strategy: pick(%w[fail continue]), inside: pick([[], [], ["items"], ["pages", 1]]), spelt_out: @random.rand < 0.3 }
    end

    # It does not fail without an attempt, where that would end the whole task.
    def calm(step, fail_fast)
      return unless fail_fast && step.on_failure == "fail"

      step.unmet = "skip" if step.unmet
      step.run_at = nil
    end

    # ---- sub-workflows -------------------------------------------------------

    def nest(template, callees)
      steps = template.steps.reject { |step| step.signal || step.decision || step.map || step.batches }
      steps = template.steps.each { |step| step.signal = step.decision = step.map = step.batches = nil } if steps.empty?
      early = steps.first(3).shuffle(random: @random)
      early.first(1 + @random.rand(2)).each do |step|
        step.queue = "default"
        step.retryable = true
        step.max_attempts = 3
        step.timeout = nil
        step.workflow = some_workflow(step, *pick(callees))
      end
    end

    # Some cannot be created, or only some of their parents let them.
    def some_workflow(step, name, version)
      name = Family::NOBODY if @random.rand < 0.04
      version = "9.0.0" if @random.rand < 0.04
      { name: name, version: (version if @random.rand < 0.5), context: some_context(step), fits: pick([nil, nil, nil, nil, true, false]) }
    end

    def some_context(step)
      return if @random.rand < 0.5
      return { "path" => ["results", pick(step.parents)] } if step.parents.any? && @random.rand < 0.3

      list = step.parents.any? && @random.rand < 0.5 ? ["results", pick(step.parents)] : %w[context list]
      { "order" => { "path" => %w[context order] }, "at" => { "path" => %w[context at] }, "list" => { "path" => list },
        "more" => [true, { "path" => %w[context nothing] }, { "none" => { "path" => %w[context nothing] } }] }
    end

    def nested_document(step)
      workflow = step.workflow
      schema = { "required" => ["task_id"], "properties" => { "results" => { "required" => workflow[:fits] ? [] : ["nothing"] } } }
      common(step).except("queue").merge(
        "workflow" => { "name" => workflow[:name], "version" => workflow[:version], "context" => workflow[:context] }.compact,
        "result_schema" => (schema unless workflow[:fits].nil?)
      ).compact
    end

    # ---- batches -------------------------------------------------------------

    # Some steps name batches, and one of their children each works on them.
    def make_batches(steps, fail_fast)
      pairs = steps.flat_map { |worker| steps.select { |cut| worker.parents.include?(cut.name) }.product([worker]) }
      pairs.shuffle(random: @random).first(1 + @random.rand(3)).each do |cut, worker|
        make_batch_pair(cut, worker, fail_fast) unless in_batches?(cut, worker, steps)
      end
    end

    # A batch worker has one batchable parent, and that has one batch worker.
    def in_batches?(cut, worker, steps)
      parents = steps.select { |step| worker.parents.include?(step.name) }
      children = steps.select { |step| step.parents.include?(cut.name) }
      [cut, worker].any? { |step| step.batches || step.map } || parents.any?(&:batches) || children.any?(&:map)
    end

    def make_batch_pair(cut, worker, fail_fast)
      [cut, worker].each { |step| step.signal = step.decision = nil }
      cut.on_failure = "fail" if cut.on_failure == "continue"
      worker.on_failure = "fail" if worker.on_failure == "skip"
      worker.rule = pick(MAP_RULES) if worker.parents.size > 1 || !MAP_RULES.include?(worker.rule)
      [cut, worker].each { |step| calm(step, fail_fast) }
      cut.batches = some_config
      strategy = cut.batches["failure_strategy"] || (worker.on_failure == "continue" ? "continue" : "fail")
      worker.map = { of: cut.name, parallelism: cut.batches["parallelism"], strategy: strategy, config: cut.batches,
                     inside: %w[batch_processing_outcome cursor_configs] }
    end

    def some_config
      { "batch_size" => 2, "parallelism" => pick([1, 2, 3]), "cursor_field" => "id", "checkpoint_interval" => 1,
        "failure_strategy" => pick(%w[fail continue]) }.select { @random.rand < 0.6 }
    end

    # What need not be said, and that out of which nothing can be made.
    SPOILT = [{ "type" => "some" }, { "type" => nil }, { "cursor_configs" => [] }, { "cursor_configs" => {} },
              { "cursor_configs" => [{}, 1] }, { "worker_template_name" => "nobody" }, { "worker_count" => 9 },
              { "worker_count" => "1" }, { "total_items" => -1 }, { "total_items" => 1.5 }].freeze

    public

    # What a batchable step says.
    # @param worker [Definition] its batch worker
    # @param spoilt [Boolean] whether it is to be refused
    # @param width [Integer] how many batches there are at most
    def outcome(worker, spoilt: false, width: 4)
      return { "batch_processing_outcome" => { "type" => "no_batches" } } if !spoilt && @random.rand < 0.2

      said = { "type" => "create_batches", "cursor_configs" => cursors(width) }
      said["worker_count"] = said["cursor_configs"].size if @random.rand < 0.5
      said["worker_template_name"] = worker.name if @random.rand < 0.5
      said["total_items"] = @random.rand(10) if @random.rand < 0.5
      said.update(pick(SPOILT)) if spoilt
      { "batch_processing_outcome" => said, "more" => 1 }
    end

    # In no order that could be restored.
    def cursors(width)
      count = 1 + @random.rand(width)
      Array.new(count) { |i| { "batch_id" => format("%03d", i + 1), "start_cursor" => i * 2, "end_cursor" => i * 2 + 2 } }
           .shuffle(random: @random)
    end

    private

    def map_document(map)
      parts = (map[:of] == "context.list" ? %w[context list] : ["results", map[:of]]) + map[:inside].map(&:to_s)
      { "over" => map[:spelt_out] ? parts : parts.join("."), "parallelism" => map[:parallelism],
        "failure_strategy" => map[:strategy] }.compact
    end

    def step_document(step)
      return common(step).merge("wait_for_signal" => signal_document(step.signal)) if step.signal
      return nested_document(step) if step.workflow

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
        "type" => type(step, converges),
        "trigger_rule" => (step.rule unless type(step, converges) == "deferred_convergence"),
        "when" => step.condition && condition_document(step.condition), "when_unmet" => step.unmet,
        "delay_seconds" => step.delay, "run_at" => ("context.at" if step.run_at),
        "batch_config" => step.batches,
        "map" => (map_document(step.map) if step.map && step.map[:config].nil?), **limit_document(step.limit)
      }.compact
    end

    def type(step, converges)
      if step.decision then "decision"
      elsif step.batches then "batchable"
      elsif step.map && step.map[:config] then "batch_worker"
      elsif converges then "deferred_convergence"
      end
    end

    def retry_document(step)
      { "retryable" => step.retryable, "max_attempts" => step.max_attempts, "backoff" => step.backoff,
        "backoff_base_ms" => step.base_ms, "max_backoff_ms" => step.cap_ms, "jitter" => 0 }
    end
  end
end
