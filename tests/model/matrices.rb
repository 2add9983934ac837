# frozen_string_literal: true

require_relative "comparison"
require_relative "model"

module ModelTest
  # Both state machines through SQL: from every state to every state. A legal move is made, one to
  # the state a thing is in is false, any other is TC010, and TC012 where the task is final; what
  # is refused changes nothing.
  class Matrices
    def initialize(url)
      @server = Server.new(url)
      @namespace = "model matrices"
      register
    end

    def each
      TASK_STATES.each { |from| yield "task, from #{from} to every state", -> { task_row(from) } }
      STEP_STATES.each { |from| yield "step, from #{from} to every state", -> { step_row(from) } }
      FINAL_TASK_STATES.each do |state|
        yield "steps of a task that is #{state}, to every state", -> { final_row(state) }
      end
    end

    private

    # Two steps: the other one keeps the task active.
    def register
      steps = %w[a b].map { |name| { "name" => name, "retry" => { "max_attempts" => 2, "jitter" => 0 } } }
      document = { "name" => "pair", "namespace" => @namespace, "steps" => steps }
      @server.rows("SELECT * FROM tasker.register_task_template($1)", [Json.new(document)])
    end

    def create = @server.value("SELECT task_id FROM tasker.create_task('pair', namespace => $1)", [@namespace])
    def step(task_id, number = 1) = task_id * 1_000_000 + number

    def claim(task_id)
      @server.rows("SELECT workflow_step_id, claim_token FROM tasker.claim_steps('m', 2, task_id => $1)", [task_id])
             .to_h(&:values)
    end

    # Step 2 is given back, so that it is there whatever becomes of step 1.
    def claim_first(task_id)
      tokens = claim(task_id)
      call("release_steps", [step(task_id, 2)], [tokens[step(task_id, 2)]])
      tokens.fetch(step(task_id))
    end

    def call(verb, *arguments)
      places = arguments.each_index.map { |i| "$#{i + 1}" }.join(", ")
      @server.rows("SELECT * FROM tasker.#{verb}(#{places})", arguments)
    end

    # @return [Integer] a task in which step 1 is in the state and the task is active
    def with_step(state)
      task_id = create
      case state
      when "pending" then nil
      when "cancelled" then call("transition_step", step(task_id), "cancelled")
      when "skipped" then call("skip_step", step(task_id))
      when "resolved_manually" then call("resolve_step", step(task_id), Json.new(1))
      else
        token = claim_first(task_id)
        case state
        when "complete" then call("complete_step", step(task_id), token, Json.new(1))
        when "error" then call("fail_step", step(task_id), token, Json.new("x"), false)
        when "waiting_for_retry" then call("fail_step", step(task_id), token, Json.new("x"))
        end
      end
      task_id
    end

    def with_task(state)
      case state
      when "pending" then create
      when "in_progress" then with_step("in_progress")
      when "complete" then with_step("complete").tap { |id| call("resolve_step", step(id, 2), Json.new(1)) }
      when "error" then with_step("error").tap { |id| call("resolve_step", step(id, 2), Json.new(1)) }
      else create.tap { |id| call("transition_task", id, state) }
      end
    end

    # Everything about a task that a refused move must leave alone.
    def picture(task_id)
      %w[tasks step_queue step_attempts step_moves task_transitions].map do |table|
        @server.rows("SELECT r::text FROM tasker.#{table} r WHERE task_id = $1 ORDER BY 1", [task_id])
      end
    end

    def attempt(sql, *parameters)
      @server.value(sql, parameters)
    rescue PG::Error => e
      e.result.error_field(PG::Result::PG_DIAG_SQLSTATE)
    end

    def expect(what, wanted, got)
      raise Disagreement, "#{what}: #{got.inspect}, should be #{wanted.inspect}" unless wanted == got
    end

    def verdict(from, to, moves, final)
      return false if from == to
      return "TC012" if final

      moves.fetch(from).include?(to) ? true : "TC010"
    end

    def move(what, wanted, task_id, state_sql, id, to, sql)
      before = picture(task_id)
      expect(what, wanted, attempt(sql, id, to))
      if wanted == true
        expect("#{what}: the state afterwards", to, @server.value(state_sql, [id]))
      else
        expect("#{what}: changed something", before, picture(task_id))
      end
      expect("#{what}: verify_task", [], @server.rows("SELECT * FROM tasker.verify_task($1)", [task_id]))
    end

    TASK_STATE = "SELECT state FROM tasker.tasks WHERE task_id = $1"
    STEP_STATE = "SELECT state FROM tasker.workflow_steps " \
                 "WHERE task_id = $1::bigint / 1000000 AND workflow_step_id = $1::bigint"

    # A task that is resumed from error runs its failed step anew, so it is in progress.
    def task_row(from)
      TASK_STATES.each do |to|
        task_id = with_task(from)
        expect("a task made #{from}", from, @server.value(TASK_STATE, [task_id]))
        wanted = verdict(from, to, TASK_MOVES_BY_HAND, FINAL_TASK_STATES.include?(from))
        move("task #{from} to #{to}", wanted, task_id, TASK_STATE, task_id, to,
             "SELECT tasker.transition_task($1, $2)")
      end
      nil
    end

    def step_row(from)
      STEP_STATES.each do |to|
        task_id = with_step(from)
        expect("a step made #{from}", from, @server.value(STEP_STATE, [step(task_id)]))
        move("step #{from} to #{to}", verdict(from, to, STEP_MOVES_BY_HAND, false), task_id,
             STEP_STATE, step(task_id), to, "SELECT tasker.transition_step($1, $2)")
      end
      nil
    end

    # Every state a step can be in when its task is over.
    def final_row(task_state)
      states = %w[complete skipped cancelled resolved_manually]
      states << "error" unless task_state == "complete"
      states.product(STEP_STATES).each do |from, to|
        task_id = finish(with_step(from), task_state)
        move("step #{from} of a task that is #{task_state} to #{to}", verdict(from, to, STEP_MOVES_BY_HAND, true),
             task_id, STEP_STATE, step(task_id), to, "SELECT tasker.transition_step($1, $2)")
      end
      nil
    end

    def finish(task_id, state)
      if state == "complete"
        call("resolve_step", step(task_id, 2), Json.new(1))
      else
        call("transition_task", task_id, state)
      end
      expect("the task", state, @server.value(TASK_STATE, [task_id]))
      task_id
    end
  end
end
