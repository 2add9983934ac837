# frozen_string_literal: true

module Race
  # Random graphs with every failure rule, one that is all joins, one that any failure ends, one that
  # takes branches, one that waits for signals, one of maps, one with limits, and one that runs others as its steps, three deep.
  module Templates
    FIXED = %w[lattice branches signals maps leaf middle nested].freeze
    NAMES = %w[random1 random2 random3 fail_fast limited].concat(FIXED).freeze
    FAILURE_RULES = %w[fail fail skip continue].freeze
    BRANCHES = %w[left middle right].freeze
    SIGNAL = "go"

    def self.register(connection, namespace, random)
      NAMES.each do |name|
        steps = FIXED.include?(name) ? send(name) : graph(random)
        template = { "namespace" => namespace, "name" => name, "steps" => steps.map { |step| definition(step, random) } }
        template["on_failure"] = "fail_fast" if name == "fail_fast"
        limit(template) if name == "limited"
        connection.exec_params("SELECT FROM tasker.register_task_template($1)", [JSON.generate(template)])
      end
    end

    # A result that is one for every step: a decision takes the branches that it names.
    def self.result(random) = JSON.generate("branches" => BRANCHES.sample(random.rand(BRANCHES.size + 1), random: random))

    def self.definition((name, parents, more), random)
      { "name" => name, "depends_on" => parents, "priority" => random.rand(2),
        "on_failure" => FAILURE_RULES.sample(random: random), **more || attempts(random) }
    end

    # Three of its steps may run at once, over all its tasks; some have keys of their own instead, or start slowly.
    def self.limit(template)
      template["concurrency"] = { "limit" => 3 }
      template["steps"].each_slice(3) { |step, _| step["concurrency"] = { "limit" => 2 } }
      template["steps"].each_slice(4) { |_, step| step&.store("rate_limit", { "limit" => 20, "period_seconds" => 1 }) }
    end

    def self.attempts(random)
      { "retry" => { "max_attempts" => 1 + random.rand(4), "backoff_base_ms" => 5, "max_backoff_ms" => 20 } }
    end

    def self.graph(random)
      names = Array.new(4 + random.rand(7)) { |n| "s#{n}" }
      names.each_with_index.map { |name, n| [name, names.first(n).sample(random.rand(4), random: random)] }
    end

    # Three layers of three, each step a join of the whole layer before.
    def self.lattice
      layers = [%w[a1 a2 a3], %w[b1 b2 b3], %w[c1 c2 c3]]
      layers.each_with_index.flat_map do |layer, n|
        layer.map { |name| [name, n.zero? ? [] : layers[n - 1]] }
      end
    end

    # Behind the branches of a decision, a join by each rule, and one of them all.
    def self.branches
      joins = { "converge" => "none_failed", "first" => "one_satisfied", "whatever" => "all_done", "all" => "all_satisfied" }
      [["ask", []], ["decide", %w[ask], { "type" => "decision", "on_failure" => "skip" }],
       *BRANCHES.map { |name| [name, %w[decide]] },
       *joins.map { |name, rule| [name, BRANCHES, { "trigger_rule" => rule }] },
       ["end", joins.keys, { "trigger_rule" => "all_done" }]]
    end

    def self.leaf = [["one", []], ["two", %w[one]]]
    def self.middle = [["before", []], ["deep", %w[before], runs("leaf")]]

    def self.nested
      [["begin", []], ["left", %w[begin], runs("middle")], ["right", %w[begin], runs("random1")], ["early", [], runs("fail_fast")],
       ["both", %w[left right]], ["end", %w[left right early], { "trigger_rule" => "all_done" }]]
    end

    def self.runs(name) = { "workflow" => { "name" => name } }

    # Two steps wait for signals of one name, one from the beginning on.
    def self.signals
      wait = { "wait_for_signal" => { "name" => SIGNAL, "timeout_seconds" => 0.3, "on_timeout" => "skip" } }
      [["ask", []], ["early", [], wait], ["late", %w[ask], wait], ["end", %w[early late], { "trigger_rule" => "all_done" }]]
    end

    # Two maps of one array, which has up to three elements, and one of the results of the first.
    def self.maps
      over = lambda do |path, more = {}|
        { "map" => { "over" => path, **more }, "on_failure" => "fail", **attempts(Random.new(1)) }
      end
      [["ask", []], ["each", %w[ask], over["results.ask.branches", { "parallelism" => 2 }]],
       ["lenient", %w[ask], over["results.ask.branches", { "failure_strategy" => "continue" }]],
       ["again", %w[each], over["results.each"]], ["end", %w[lenient again], { "trigger_rule" => "all_done" }]]
    end
  end
end
