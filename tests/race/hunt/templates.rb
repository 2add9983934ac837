# frozen_string_literal: true

module Race
  # Random graphs with every failure rule, one that is all joins, and one that any failure ends.
  module Templates
    NAMES = %w[random1 random2 random3 lattice fail_fast].freeze
    FAILURE_RULES = %w[fail fail skip continue].freeze

    def self.register(connection, namespace, random)
      NAMES.each do |name|
        steps = name == "lattice" ? lattice : graph(random)
        template = { "namespace" => namespace, "name" => name, "steps" => steps.map { |step| definition(step, random) } }
        template["on_failure"] = "fail_fast" if name == "fail_fast"
        connection.exec_params("SELECT FROM tasker.register_task_template($1)", [JSON.generate(template)])
      end
    end

    def self.definition((name, parents), random)
      { "name" => name, "depends_on" => parents, "priority" => random.rand(2),
        "on_failure" => FAILURE_RULES.sample(random: random),
        "retry" => { "max_attempts" => 1 + random.rand(4), "backoff_base_ms" => 5, "max_backoff_ms" => 20 } }
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
  end
end
