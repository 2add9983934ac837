# frozen_string_literal: true

require "json"

module Bench
  # Workflows of known shapes, and a worker that runs them by the four verbs.
  class Workload
    CREATE = "SELECT task_id FROM tasker.create_task($1)"
    CREATE_MANY = "SELECT count(*) FROM tasker.create_tasks($1)"
    CLAIM = "SELECT workflow_step_id, claim_token FROM tasker.claim_steps('bench', $1::int, task_names => $2::text[])"
    COMPLETE = "SELECT task_state FROM tasker.complete_step($1, $2, $3::jsonb)"
    COMPLETE_MANY = "SELECT count(*) FROM tasker.complete_steps($1::bigint[], $2::bigint[], " \
                    "array_fill($3::jsonb, ARRAY[cardinality($1::bigint[])]))"
    FAIL = "SELECT step_state FROM tasker.fail_step($1, $2, '{\"message\": \"planned\"}', true, 0)"
    RESULT = '{"done": true}'
    MAX_BATCH = 10_000

    # Each step behind all four of the layer before it.
    def self.layers(steps)
      (0...steps).map { |i| [i.to_s, i < 4 ? [] : (0..3).map { |parent| ((i / 4 - 1) * 4 + parent).to_s }] }
    end

    SHAPES = {
      "chain-10" => (1..10).map { |i| [i.to_s, i == 1 ? [] : [(i - 1).to_s]] },
      "diamond-4" => [["a", []], ["b", ["a"]], ["c", ["a"]], ["d", %w[b c]]],
      "five" => [["a", []], ["b", ["a"]], ["c", ["a"]], ["d", %w[b c]], ["e", ["d"]]],
      "one" => [["a", []]],
      "ten" => (0..9).map { |i| [i.to_s, i < 2 ? [] : [(i - 1).to_s, (i - 2).to_s]] },
      "wide-1000" => [["first", []], *(1..1000).map { |i| ["w#{i}", ["first"]] },
                      ["last", (1..1000).map { |i| "w#{i}" }]],
      "layers-100" => layers(100),
      "layers-1000" => layers(1000)
    }

    attr_reader :server, :shape

    def initialize(server, shape, priority: 0)
      @server = server
      @shape = shape
      @names = "{\"default/#{shape}\"}"
      server.value("SELECT created FROM tasker.register_task_template($1)",
                   JSON.generate(name: shape, steps: SHAPES.fetch(shape).map { |name, parents| { name: name, depends_on: parents } }))
    end

    def steps = SHAPES.fetch(shape).size

    def create(tasks) = tasks.times { server.call(CREATE, shape) }

    # Fast, for backlogs: thousands in a transaction.
    def create_many(tasks)
      tasks.fdiv(MAX_BATCH).ceil.times do |i|
        server.call(CREATE_MANY, JSON.generate([{ name: shape }] * [MAX_BATCH, tasks - i * MAX_BATCH].min))
      end
    end

    def claim(count, session: server) = session.call(CLAIM, count, @names).values

    # Claims ten at a time and completes one by one, a transaction each, until nothing is left.
    # @param failing [Float] the share that fails once before it succeeds
    # @return [Array<Float>] seconds of each completion
    # @param at_most [Integer] steps to end with; claims are not left open
    def work(session: server, batch: 10, failing: 0.0, at_most: Float::INFINITY)
      times = []
      random = Random.new(42)
      until times.size >= at_most || (claims = claim(batch, session: session)).empty?
        claims.each do |step, token|
          times << Bench.seconds do
            random.rand < failing ? session.call(FAIL, step, token) : session.call(COMPLETE, step, token, RESULT)
          end
        end
      end
      times
    end

    # Claims and completes in batches.
    def work_in_batches(session: server, batch: 50)
      until (claims = claim(batch, session: session)).empty?
        session.call(COMPLETE_MANY, *claims.transpose.map { |ids| "{#{ids.join(",")}}" }, RESULT)
      end
    end
  end
end
