# frozen_string_literal: true

require "set"

require_relative "comparison"
require_relative "generator"
require_relative "world"

module ModelTest
  # A claim that was given out once, live or not. Without a name it is of a step that does not exist.
  Held = Struct.new(:handle, :name, :id, :token, keyword_init: true) do
    def to_s = "#{handle}/#{name || "?"}"
  end

  # The operations: each chooses its arguments, calls the extension, asks the model, and compares.
  # All return whether the call was refused.
  module Operations
    WEIGHTS = {
      claim: 26, complete: 14, complete_batch: 6, complete_and_claim: 6, fail: 14, heartbeat: 3, release: 5,
      checkpoint: 4, create: 9, create_many: 2, cancel: 2, pause: 3, resume: 5, retry_task: 4, reset: 3, resolve: 4,
      skip: 4, transition_task: 2, transition_step: 4, clock: 9
    }.freeze
    CHOICES = WEIGHTS.flat_map { |name, weight| [name] * weight }.freeze
    MANY = 15                   # tasks at work at the same time

    Refusal = Struct.new(:sqlstate, :text) do
      def inspect = "refused #{sqlstate} (#{text})"
    end

    private

    def operate(session)
      choice = pick(CHOICES)
      choice = :create if @world.free(session).empty?
      choice = :claim if choice == :create && active(session).size >= MANY
      send(:"random_#{choice}", session)
    end

    # Calls, predicts and compares. The block is given the moment of the call and the rows that came
    # (for ids and tokens, which the model cannot know); it changes the model and says which rows had
    # to come, or raises Refused.
    # @param touched [Array<Handle>] the tasks to compare afterwards
    def operation(session, text, sql, parameters, touched)
      @operations += 1
      moment = now
      answer = ask(session, sql, parameters)
      note(session, text, brief(answer))
      expected = predict { yield moment, answer.is_a?(Refusal) ? [] : answer }
      agree(text, expected, answer)
      refused = expected.is_a?(Refused)
      check(touched.uniq, session) unless refused && session.open?
      refused
    end

    def ask(session, sql, parameters)
      session.server.rows(sql, parameters)
    rescue PG::Error => e
      raise if e.result.nil?

      Refusal.new(e.result.error_field(PG::Result::PG_DIAG_SQLSTATE), e.result.error_field(PG::Result::PG_DIAG_MESSAGE_PRIMARY))
    end

    def predict
      yield
    rescue Refused => e
      e
    end

    def agree(text, expected, answer)
      if expected.is_a?(Refused)
        return if answer.is_a?(Refusal) && answer.sqlstate == expected.sqlstate

        raise Disagreement, "#{text} should be refused with #{expected.sqlstate}, but: #{answer.inspect}"
      end
      raise Disagreement, "#{text} should answer #{expected.inspect}, but: #{answer.inspect}" if answer.is_a?(Refusal)

      Comparison.rows(text, expected, answer)
    end

    def brief(answer)
      return answer.inspect if answer.is_a?(Refusal)

      answer.map { |row| row.except(:claim_token, :correlation_id, :task_context).values.compact.first(6).join(" ") }.join(", ")
    end

    # ---- choosing ------------------------------------------------------------

    def some_handle(session)
      free = @world.free(session)
      busy = free.select { |handle| !@world.task(session, handle).final? }
      busy.empty? || chance(0.15) ? pick(free) : pick(busy)
    end

    # A task that was rolled back.
    def ghost = @world.handles.reverse.find { |handle| handle.owner.nil? && @sessions.all? { |s| @world.task(s, handle).nil? } }

    def some_step(session, states = nil)
      handle = some_handle(session)
      handle = ghost || handle if chance(0.02)
      task = @world.task(session, handle)
      steps = task ? task.steps.values : []
      wanted = states && chance(0.8) ? steps.select { |step| states.include?(step.state) } : steps
      step = pick(wanted.empty? ? steps : wanted) unless steps.empty?
      return Held.new(handle: handle, id: unknown_id(handle)) if step.nil? || chance(0.02)

      Held.new(handle: handle, name: step.name, id: handle.ids.fetch(step.name))
    end

    def unknown_id(handle) = handle.task_id * 1_000_000 + handle.ids.size + 1 + @random.rand(3)

    def live?(session, held)
      claim = held.name && @world.task(session, held.handle)&.steps&.fetch(held.name)&.claim
      !claim.nil? && claim.token == held.token
    end

    def mine?(session, held) = held.handle.owner.nil? || held.handle.owner == session

    # Mostly a live claim; else one of old, or one with another's token.
    def some_claim(session)
      @claims = @claims.last(400)
      known = @claims.select { |held| mine?(session, held) }
      live = known.select { |held| live?(session, held) }
      return pick(live) if live.any? && chance(0.75)
      return Held.new(**some_step(session).to_h, token: 1 + @random.rand(1000)) if known.empty? || chance(0.1)

      held = pick(known)
      chance(0.25) ? Held.new(**held.to_h, token: pick(known).token) : held
    end

    def some_claims(session) = Array.new(1 + @random.rand(5)) { some_claim(session) }.uniq(&:id)

    def result = Json.new(pick(Generator::RESULTS))

    def task_of(session, handle) = @world.task(session, handle) ? @world.task_to_change(session, handle) : raise(Refused, "TC002")

    # @return [Array(Task, Step)]
    def step_of(session, held)
      raise Refused, "TC003" if held.name.nil? || @world.task(session, held.handle).nil?

      task = @world.task_to_change(session, held.handle)
      [task, task.steps.fetch(held.name)]
    end

    # ---- creating ------------------------------------------------------------

    Request = Struct.new(:template, :named, :key, :priority, :run_at, :arguments, keyword_init: true) do
      def identity = [template.namespace, template.name, key]

      def to_s
        [template.name, ("@#{template.version}" if named), " of #{template.steps.size} steps", key && ", #{key}",
         run_at && ", at #{arguments["run_at"]}"].compact.join
      end
    end

    def some_request(session)
      template = pick(@templates)
      named = chance(0.5)
      template = newest(template) unless named
      run_at, time = appointment(pick([-600, 600, 1200])) if chance(0.2)
      key = "key #{@random.rand(6)}" if chance(0.35)
      key = nil if @world.key_taken?(@sessions, session, [template.namespace, template.name, key])
      priority = pick([0, 0, 0, 5, -5, 40_000])
      arguments = { "name" => template.name, "namespace" => template.namespace, "version" => (template.version if named),
                    "context" => { "order" => @operations }, "idempotency_key" => key, "run_at" => time,
                    "priority" => priority }
      Request.new(template: template, named: named, key: key, priority: priority, run_at: run_at, arguments: arguments.compact)
    end

    # Templates of one name stand by version, 0.9.0 before 0.10.0.
    def newest(template) = @templates.reverse.find { |other| other.namespace == template.namespace && other.name == template.name }

    def random_create(session)
      request = some_request(session)
      unknown = chance(0.02)
      request.arguments["name"] = "none such" if unknown
      names = request.arguments.keys
      sql = "SELECT * FROM tasker.create_task(#{names.each_with_index.map { |name, i| "#{name} => $#{i + 1}" }.join(", ")})"
      parameters = request.arguments.values.map { |value| value.is_a?(Hash) ? Json.new(value) : value }
      touched = []
      operation(session, "create_task(#{request})", sql, parameters, touched) do |moment, rows|
        raise Refused, "TC001" if unknown

        [create(session, request, rows.first, moment, touched)]
      end
    end

    def random_create_many(session)
      requests = Array.new(1 + @random.rand(4)) { some_request(session) }
      list = Json.new(requests.map(&:arguments))
      touched = []
      operation(session, "create_tasks(#{requests.join("; ")})", "SELECT * FROM tasker.create_tasks($1)", [list], touched) do |moment, rows|
        requests.each_with_index.map { |request, i| create(session, request, rows[i], moment, touched).merge(ordinal: i + 1) }
      end
    end

    # @return [Hash] the row that has to come
    def create(session, request, row, moment, touched)
      existing = @world.key(session, request.identity) if request.key
      if existing
        return { task_id: existing.task_id, created: false, step_count: existing.template.steps.size,
                 state: @world.task(session, existing).state }
      end

      template = request.template
      handle = Handle.new(@world.handles.size + 1, row ? row[:task_id] : 0, template, @numbers.fetch(template))
      @world.add(session, handle, Task.new(template, moment, priority: request.priority, run_at: request.run_at,
                                                             context: Json.new(request.arguments["context"])))
      @world.add_key(session, request.identity, handle) if request.key
      touched << handle
      { created: true, step_count: template.steps.size, state: "pending" }
    end

    # ---- claiming ------------------------------------------------------------

    FILTERS = %i[task_id namespaces task_names queues].freeze

    # Claims always keep to this scenario's tasks, and to those that no open transaction of another
    # session has touched: they would pass over what is locked, which is right but not predictable.
    def some_filter(session)
      spaces = @templates.map(&:namespace).uniq
      filter = case @random.rand(4)
               when 0 then { task_id: pick(@world.free(session)) }
               when 1 then { namespaces: spaces.sample(1 + @random.rand(2), random: @random) }
               when 2 then { task_names: @templates.sample(1 + @random.rand(3), random: @random).map { |t| served(t) } }
               else { namespaces: spaces, queues: %w[default gpu].sample(1 + @random.rand(2), random: @random) }
               end
      clear = in_scope(@world.handles, filter).all? { |handle| handle.owner.nil? || handle.owner == session }
      clear ? filter : { task_id: pick(@world.free(session)) }
    end

    def served(template) = "#{template.namespace}/#{template.name}#{"@#{template.version}" if chance(0.5)}"

    def in_scope(handles, filter)
      handles.select do |handle|
        template = handle.template
        names = ["#{template.namespace}/#{template.name}", "#{template.namespace}/#{template.name}@#{template.version}"]
        (filter[:task_id].nil? || filter[:task_id] == handle) &&
          (filter[:namespaces].nil? || filter[:namespaces].include?(template.namespace)) &&
          (filter[:task_names].nil? || filter[:task_names].intersect?(names))
      end
    end

    def filter_arguments(filter) = FILTERS.map { |name| name == :task_id ? filter[name]&.task_id : filter[name] }

    def describe_filter(filter)
      filter.map { |name, value| "#{name} #{value.is_a?(Array) ? value.map { |v| v.sub(/\Amodel .* (?=alpha|beta)/, "") }.join("+") : value}" }.join(", ")
    end

    def random_claim(session)
      claim(session, some_filter(session), @random.rand(6), pick(Generator::LEASES))
      false
    end

    # @return [Array<Held>]
    def claim(session, filter, max_steps, lease)
      sql = "SELECT * FROM tasker.claim_steps($1, $2, lease_seconds => $3, task_id => $4, namespaces => $5, task_names => $6, queues => $7)"
      touched = []
      claimed = []
      operation(session, "claim_steps(#{max_steps}, #{describe_filter(filter)}, lease #{lease.to_f})", sql,
                [session.worker, max_steps, lease, *filter_arguments(filter)], touched) do |moment, rows|
        expect_claims(session, filter, max_steps, lease, moment, rows, touched, claimed)
      end
      claimed
    end

    Candidate = Struct.new(:handle, :task, :step) do
      def rank = [-task.step_priority(step), task.claimable_since(step)]
      def id = handle.ids.fetch(step.name)
    end

    # Priority, then age; which of two that are equal in both is not said.
    def expect_claims(session, filter, max_steps, lease, moment, rows, touched, claimed)
      return [] if max_steps.zero?

      close_exhausted(session, filter, moment, touched)
      candidates = candidates(session, filter).select { |c| c.task.claimable?(c.step, moment) }.to_h { |c| [c.id, c] }
      chosen = rows.map do |row|
        candidates.delete(row[:workflow_step_id]) || raise(Disagreement, "step #{row[:workflow_step_id]} is claimed, but not claimable")
      end
      in_order(chosen, candidates.values, max_steps)
      chosen.zip(rows).map do |candidate, row|
        touched << candidate.handle
        claimed << hand_out(candidate, row[:claim_token])
        expect_claim(session, candidate, row[:claim_token], lease, moment)
      end
    end

    def candidates(session, filter)
      in_scope(@world.free(session), filter).flat_map do |handle|
        task = @world.task(session, handle)
        steps = task.steps.values.select { |step| filter[:queues].nil? || filter[:queues].include?(step.definition.queue) }
        steps.map { |step| Candidate.new(handle, task, step) }
      end
    end

    def close_exhausted(session, filter, moment, touched)
      exhausted = candidates(session, filter).select do |c|
        !c.task.paused && c.task.lease_expired?(c.step, moment) && !c.step.attempts_left?
      end
      first_seen(session, exhausted).each do |candidate|
        task = @world.task_to_change(session, candidate.handle)
        step = task.steps.fetch(candidate.step.name)
        next if step.ended?

        touched << candidate.handle
        task.close_exhausted(step, moment)
      end
    end

    # Where a failure calls off the rest of the task, which of several expired leases is seen first is
    # not said: those whose steps are in error now, and the one that called off the rest after them.
    def first_seen(session, exhausted)
      return exhausted if exhausted.none? { |candidate| candidate.handle.template.fail_fast }

      seen, missed = exhausted.partition do |candidate|
        session.server.value(STEP_STATE, [candidate.handle.task_id, candidate.id]) == "error"
      end
      seen.partition { |candidate| candidate.step.definition.on_failure != "fail" }.flatten(1) + missed
    end
    STEP_STATE = "SELECT current_state FROM tasker.get_step_readiness_status($1, ARRAY[$2::bigint])"

    def in_order(chosen, left, max_steps)
      wanted = [max_steps, chosen.size + left.size].min
      raise Disagreement, "#{wanted} steps should be claimed, not #{chosen.size}; left: #{left.map(&:id)}" unless chosen.size == wanted

      ranks = chosen.map(&:rank)
      raise Disagreement, "claims are not by priority, then age: #{ranks.inspect}" unless ranks == ranks.sort
      best = left.map(&:rank).min
      raise Disagreement, "a step that goes before was left out: #{best.inspect}, #{ranks.last.inspect}" if best && ranks.any? && (best <=> ranks.last).negative?
    end

    def hand_out(candidate, token)
      fresh = token.between?(1, 2**53 - 1) && (@tokens ||= Set.new).add?(token)
      raise Disagreement, "claim token #{token} is out of range or was given out before" unless fresh

      held = Held.new(handle: candidate.handle, name: candidate.step.name, id: candidate.id, token: token)
      @claims << held
      held
    end

    def expect_claim(session, candidate, token, lease, moment)
      task = @world.task_to_change(session, candidate.handle)
      step = task.steps.fetch(candidate.step.name)
      task.claim(step, token, lease, moment)
      {
        workflow_step_id: candidate.id, task_id: candidate.handle.task_id, attempt: step.attempts + 1,
        max_attempts: step.definition.max_attempts, namespace: task.template.namespace, task_name: task.template.name,
        task_version: task.template.version, step_name: step.name, task_context: task.context,
        dependency_results: Json.new(task.parents(step).to_h { |parent| [parent.name, parent.results&.value] }),
        inputs: nil, checkpoint: step.checkpoint, priority: task.step_priority(step),
        timeout_seconds: step.definition.timeout, lease_expires_at: step.claim.lease_until, queue: step.definition.queue
      }
    end

    # ---- completing ----------------------------------------------------------

    def random_complete(session)
      held = some_claim(session)
      results = result
      operation(session, "complete_step(#{held}, #{results.value.inspect})", "SELECT * FROM tasker.complete_step($1, $2, $3)",
                [held.id, held.token, results], [held.handle]) do |moment|
        task, step = step_of(session, held)
        outcome = task.complete(step, held.token, results, moment)
        raise Refused, "TC011" if outcome == :lease_lost

        [{ task_id: held.handle.task_id, task_state: task.state, steps_ready: ready_count(outcome), status: status_of(outcome) }]
      end
    end

    def ready_count(outcome) = outcome.is_a?(Integer) ? outcome : 0
    def status_of(outcome) = outcome.is_a?(Integer) ? "completed" : outcome.to_s

    def random_complete_batch(session)
      complete_batch(session, some_claims(session).map { |held| [held, result] })
    end

    def complete_batch(session, items)
      operation(session, "complete_steps(#{items.map(&:first).join(", ")})", "SELECT * FROM tasker.complete_steps($1, $2, $3)",
                batch_arguments(items), items.map { |held, _| held.handle }) do |moment, rows|
        outcomes = complete_items(session, items, moment)
        expect_ready_counts(items, outcomes, rows)
        items.zip(outcomes).map { |(held, _), outcome| expect_item(session, held, outcome) }
      end
    end

    def batch_arguments(items) = [items.map { |held, _| held.id }, items.map { |held, _| held.token }, items.map(&:last)]

    def complete_items(session, items, moment)
      items.map do |held, results|
        task, step = step_of(session, held)
        task.complete(step, held.token, results, moment)
      rescue Refused
        :not_found
      end
    end

    # Which item of a batch is said to have made a join ready is open; how many are ready is not.
    def expect_ready_counts(items, outcomes, rows)
      by_task = items.zip(outcomes).group_by { |(held, _), _| held.handle }
      by_task.each do |handle, pairs|
        wanted = pairs.sum { |_, outcome| ready_count(outcome) }
        ids = pairs.map { |(held, _), _| held.id }
        got = rows.select { |row| ids.include?(row[:workflow_step_id]) }.sum { |row| row[:steps_ready] }
        raise Disagreement, "#{wanted} steps of #{handle} should be ready, not #{got}" unless wanted == got
      end
    end

    def expect_item(session, held, outcome)
      return { workflow_step_id: held.id, status: "not_found", task_id: nil, task_state: nil } if outcome == :not_found

      { workflow_step_id: held.id, status: status_of(outcome), task_id: held.handle.task_id,
        task_state: @world.task(session, held.handle).state }
    end

    def random_complete_and_claim(session)
      items = some_claims(session).map { |held| [held, result] }
      filter = some_filter(session)
      max_steps = @random.rand(4)
      lease = pick(Generator::LEASES)
      sql = "SELECT * FROM tasker.complete_and_claim($1, $2, $3, $4, $5, lease_seconds => $6, task_id => $7, namespaces => $8, task_names => $9, queues => $10)"
      touched = items.map { |held, _| held.handle }
      operation(session, "complete_and_claim(#{items.map(&:first).join(", ")}; #{max_steps}, #{describe_filter(filter)})", sql,
                [*batch_arguments(items), session.worker, max_steps, lease, *filter_arguments(filter)], touched) do |moment, rows|
        outcomes = complete_items(session, items, moment)
        claims = rows.select { |row| row[:completed_step_id].nil? }
        expect_claims(session, filter, max_steps, lease, moment, claims, touched, []) + uncompleted(items, outcomes)
      end
    end

    def uncompleted(items, outcomes)
      items.zip(outcomes).reject { |_, outcome| outcome.is_a?(Integer) }.map do |(held, _), outcome|
        { workflow_step_id: nil, claim_token: nil, completed_step_id: held.id, status: status_of(outcome) }
      end
    end

    # ---- failing, holding, giving back ---------------------------------------

    def random_fail(session)
      held = some_claim(session)
      error = Json.new({ "message" => "failure #{@operations}" })
      retryable = chance(0.8)
      retry_after = pick([nil, nil, *Generator::DELAYS])
      operation(session, "fail_step(#{held}, #{retryable ? "retryable" : "permanent"}, after #{retry_after.inspect})",
                "SELECT * FROM tasker.fail_step($1, $2, $3, $4, $5)", [held.id, held.token, error, retryable, retry_after],
                [held.handle]) do |moment|
        task, step = step_of(session, held)
        outcome = task.fail(step, held.token, error, retryable, retry_after, moment)
        [{ step_state: outcome.state, next_retry_at: outcome.next_retry_at, task_state: task.state }]
      end
    end

    def random_heartbeat(session)
      held = some_claims(session)
      lease = pick(Generator::LEASES)
      operation(session, "heartbeat(#{held.join(", ")}, #{lease})",
                "SELECT * FROM tasker.heartbeat($1, $2, $3, $4) ORDER BY 1",
                [session.worker, held.map(&:id), held.map(&:token), lease], held.map(&:handle)) do |moment|
        lost = held.reject { |claim| on_claim(session, claim) { |task, step| task.heartbeat(step, claim.token, lease, moment) } }
        lost.map(&:id).sort.map { |id| { workflow_step_id: id } }
      end
    end

    def random_release(session)
      held = some_claims(session)
      delay = pick(Generator::DELAYS)
      operation(session, "release_steps(#{held.join(", ")}, #{delay.to_f})", "SELECT tasker.release_steps($1, $2, $3) AS released",
                [held.map(&:id), held.map(&:token), delay], held.map(&:handle)) do |moment|
        [{ released: held.count { |claim| on_claim(session, claim) { |task, step| task.release(step, claim.token, delay, moment) } } }]
      end
    end

    # A step that does not exist is held by nobody.
    def on_claim(session, held)
      yield(*step_of(session, held))
    rescue Refused
      false
    end

    def random_checkpoint(session)
      held = some_claim(session)
      value = Json.new({ "line" => @operations })
      yields = chance(0.4)
      operation(session, "checkpoint_step(#{held}#{", yield" if yields})", "SELECT tasker.checkpoint_step($1, $2, $3, $4) AS done",
                [held.id, held.token, value, yields], [held.handle]) do |moment|
        task, step = step_of(session, held)
        [{ done: task.checkpoint(step, held.token, value, yields, moment) }]
      end
    end

    # ---- people --------------------------------------------------------------

    def on_task(session, verb, handle = nil)
      handle ||= chance(0.02) ? ghost || some_handle(session) : some_handle(session)
      operation(session, "#{verb}(#{handle})", "SELECT tasker.#{verb}($1, 'by the test') AS done", [handle.task_id], [handle]) do |moment|
        [{ done: yield(task_of(session, handle), moment) }]
      end
    end

    def random_cancel(session) = on_task(session, "cancel_task") { |task| task.cancel }
    def random_pause(session) = on_task(session, "pause_task") { |task| task.pause(true) }
    def random_resume(session) = resume(session, paused_handle(session))
    def resume(session, handle) = on_task(session, "resume_task", handle) { |task| task.pause(false) }
    def paused_handle(session) = pick(@world.free(session).select { |handle| @world.task(session, handle).paused }.then { |list| list.empty? ? [nil] : list })

    def random_retry_task(session)
      failed = @world.free(session).select { |handle| @world.task(session, handle).state == "error" }
      on_task(session, "retry_task", (pick(failed) if failed.any? && chance(0.8))) { |task, moment| task.retry(moment) }
    end

    def random_transition_task(session)
      handle = some_handle(session)
      to = pick(TASK_STATES)
      expected = pick([nil, nil, *TASK_STATES])
      operation(session, "transition_task(#{handle}, #{to}, #{expected || "any"})", "SELECT tasker.transition_task($1, $2, $3) AS done",
                [handle.task_id, to, expected], [handle]) do |moment|
        [{ done: task_of(session, handle).transition(to, expected, moment) }]
      end
    end

    def random_transition_step(session)
      held = some_step(session)
      to = pick(STEP_STATES)
      expected = pick([nil, nil, nil, *STEP_STATES])
      results = result if to == "resolved_manually" && chance(0.5)
      operation(session, "transition_step(#{held}, #{to}, #{expected || "any"})",
                "SELECT tasker.transition_step($1, $2, $3, results => $4) AS done", [held.id, to, expected, results], [held.handle]) do |moment|
        task, step = step_of(session, held)
        [{ done: !task.move_step(step, to, moment, expected: expected, results: results).nil? }]
      end
    end

    def random_reset(session)
      move(session, "reset_step", some_step(session, %w[in_progress waiting_for_retry error]), "pending")
    end

    def random_skip(session) = move(session, "skip_step", some_step(session, %w[pending in_progress error]), "skipped")

    def random_resolve(session)
      move(session, "resolve_step", some_step(session, %w[pending waiting_for_retry error]), "resolved_manually", result)
    end

    def move(session, verb, held, to, results = nil)
      parameters = [held.id, results].compact
      operation(session, "#{verb}(#{held})", "SELECT * FROM tasker.#{verb}(#{results ? "$1, $2" : "$1"}, reason => 'by the test')",
                parameters, [held.handle]) do |moment|
        task, step = step_of(session, held)
        readied = task.move_step(step, to, moment, results: results)
        [{ task_id: held.handle.task_id, task_state: task.state, steps_ready: readied || 0 }]
      end
    end

    def random_clock(_session)
      move_clock(Generator::TICK * pick([1, 1, 1, 2, 3, 20]))
      false
    end
  end
end
