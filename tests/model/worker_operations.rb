# frozen_string_literal: true

require "set"

module ModelTest
  # The verbs of workers.
  module WorkerOperations
    FILTERS = %i[task_id namespaces task_names queues].freeze
    STEP_STATE = "SELECT current_state FROM tasker.get_step_readiness_status($1, ARRAY[$2::bigint])"

    # A step that could be claimed.
    Candidate = Struct.new(:handle, :task, :step) do
      def id = handle.ids.fetch(step.name)

      # Priority, then age.
      def rank = [-task.step_priority(step), task.claimable_since(step)]
    end

    private

    # ---- claiming: the filters -----------------------------------------------

    # Claims always keep to this scenario's tasks, and to those that no open transaction of another
    # session has touched: they would pass over what is locked, which is right but not predictable.
    def some_filter(session)
      spaces = reachable(session).map(&:namespace).uniq
      filter = case chance(@focus) ? 4 : @random.rand(4)
               when 0 then some_task_filter(session)
               when 1 then { namespaces: some(spaces) }
               when 2 then { task_names: some(reachable(session)).map { |template| served(template) } }
               when 3 then { namespaces: spaces, queues: some(%w[default gpu]) }
               else { namespaces: spaces.last(1) }
               end
      clear = in_scope(@world.handles, filter).all? { |handle| handle.owner.nil? || handle.owner == session }
      clear ? filter : some_task_filter(session)
    end

    def some_task_filter(session)
      handle = (pick(telling(session)) if chance(0.3)) || pick(@world.free(session))
      handle ? task_filter(session, handle) : { task_names: ["nowhere/nothing"] }
    end

    # A claim that names no namespace looks at the limits of all.
    def task_filter(session, handle)
      session.open? ? { task_id: handle, namespaces: [handle.template.namespace] } : { task_id: handle }
    end

    # Tasks of which something can be claimed.
    def with_work(session)
      moment = now
      free_and(session) { |task| task.steps.values.any? { |step| task.claimable?(step, moment) } }
    end

    def some(list) = list.sample(1 + @random.rand(2), random: @random)
    def served(template) = "#{template.namespace}/#{template.name}#{"@#{template.version}" if chance(0.5)}"

    def in_scope(handles, filter)
      handles.select do |handle|
        template = handle.template
        name = "#{template.namespace}/#{template.name}"
        (filter[:task_id].nil? || filter[:task_id] == handle) &&
          (filter[:namespaces].nil? || filter[:namespaces].include?(template.namespace)) &&
          (filter[:task_names].nil? || filter[:task_names].intersect?([name, "#{name}@#{template.version}"]))
      end
    end

    def filter_arguments(filter)
      FILTERS.map { |name| name == :task_id ? filter[name]&.task_id : filter[name] }
    end

    def describe(filter)
      filter.map do |name, value|
        "#{name} #{[value].flatten.map { |v| v.to_s.sub(/\Amodel \d+ /, "") }.join("+")}"
      end.join(", ")
    end

    # ---- claiming ------------------------------------------------------------

    def random_claim(session)
      handle = some_of(session, with_work(session)) if chance(0.5)
      filter = handle ? task_filter(session, handle) : some_filter(session)
      claim(session, filter, pick([0, 1, 1, 2, 2, 3, 5]), pick(Generator::LEASES))
      false
    end

    # @return [Array<Held>]
    def claim(session, filter, max_steps, lease)
      touched = []
      claimed = []
      operation(session, "claim_steps(#{max_steps}, #{describe(filter)}, lease #{lease.to_f})",
                sql("claim_steps", 2, "lease_seconds", *FILTERS),
                [session.worker, max_steps, lease, *filter_arguments(filter)], touched) do |moment, rows|
        expect_claims(session, filter, max_steps, lease, moment, rows, touched, claimed)
      end
      claimed
    end

    # Priority, then age; which of two that are equal in both is not said.
    def expect_claims(session, filter, max_steps, lease, moment, rows, touched, claimed)
      return [] if max_steps.zero?

      close_exhausted(session, filter, moment, touched)
      end_waits(session, filter, moment, touched)
      let_out(filter, moment, rows, touched) unless session.open?
      left = candidates(session, filter).select { |c| c.task.claimable?(c.step, moment) }.to_h { |c| [c.id, c] }
      chosen = rows.map do |row|
        id = row[:workflow_step_id]
        left.delete(id) || raise(Disagreement, "step #{id} is claimed, but cannot be")
      end
      @flow.meet(chosen, left.values) unless session.open?
      in_order(chosen, session.open? ? left.values : @flow.unhindered(chosen, left.values), max_steps)
      expected = chosen.zip(rows).map do |candidate, row|
        touched << candidate.handle
        claimed << hand_out(candidate, row[:claim_token])
        expect_claim(session, candidate, row[:claim_token], lease, moment)
      end
      touched.concat(@flow.put_aside(chosen, left.values, rows.size < max_steps)) unless session.open?
      expected
    end

    # What waits for its key comes out when a claim looks, whatever it is that is claimed; it looks where there are limits.
    def let_out(filter, moment, rows, touched)
      served = in_scope(@world.handles.select { |handle| handle.template.limited? }, filter.except(:task_id))
      certain = @flow.places.any? do |place|
        served.include?(place.handle) && !place.task.held_above? && (place.step.begun? || place.step.claim) &&
          (filter[:queues].nil? || filter[:queues].include?(place.step.definition.queue))
      end
      touched.concat(@flow.let_out(moment, rows, certain, @offset))
    end

    def candidates(session, filter)
      in_scope(@world.free(session), filter).flat_map do |handle|
        task = @world.task(session, handle)
        steps = task.steps.values.select { |s| filter[:queues].nil? || filter[:queues].include?(s.definition.queue) }
        steps.map { |step| Candidate.new(handle, task, step) }
      end
    end

    # Waits whose time is over.
    def end_waits(session, filter, moment, touched)
      candidates(session, filter).each do |candidate|
        task = @world.task(session, candidate.handle)
        next unless task.overdue?(task.steps.fetch(candidate.step.name), moment)

        touched << candidate.handle
        task = @world.task_to_change(session, candidate.handle)
        task.time_out(task.steps.fetch(candidate.step.name), moment)
      end
    end

    # Expired leases that were the last attempt: the next claim that could have taken them sees to it.
    def close_exhausted(session, filter, moment, touched)
      exhausted = candidates(session, filter).select do |c|
        !c.task.held? && c.task.lease_expired?(c.step, moment) && !c.step.attempts_left?
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
      return exhausted if exhausted.none? { |candidate| candidate.handle.template.fail_fast || candidate.handle.template.nested }

      seen, missed = exhausted.partition do |candidate|
        session.server.value(STEP_STATE, [candidate.handle.task_id, candidate.id]) == "error"
      end
      seen.partition { |candidate| candidate.step.failure_rule != "fail" }.flatten(1) + missed
    end

    def in_order(chosen, left, max_steps)
      wanted = [max_steps, chosen.size + left.size].min
      unless chosen.size == wanted
        raise Disagreement, "#{wanted} steps should be claimed, not #{chosen.size}; left: #{left.map(&:id)}"
      end

      ranks = chosen.map(&:rank)
      raise Disagreement, "claims are not by priority, then age: #{ranks.inspect}" unless ranks == ranks.sort

      best = left.map(&:rank).min
      return if best.nil? || ranks.empty? || (best <=> ranks.last) >= 0

      raise Disagreement, "#{best.inspect} was left out, though it goes before #{ranks.last.inspect}"
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
      @tally.claim(step)
      {
        workflow_step_id: candidate.id, task_id: candidate.handle.task_id, attempt: step.attempts + 1,
        max_attempts: step.definition.max_attempts, namespace: task.template.namespace,
        task_name: task.template.name, task_version: task.template.version, step_name: step.name,
        task_context: task.context, dependency_results: dependency_results(task, step), inputs: inputs(step),
        checkpoint: step.checkpoint, priority: task.step_priority(step), queue: step.definition.queue,
        timeout_seconds: step.definition.timeout, lease_expires_at: step.claim.lease_until
      }
    end

    def dependency_results(task, step)
      map = step.instance? ? step.definition.map : {}
      Json.new(task.parents(step).to_h do |parent|
        value = parent.results&.value
        [parent.name, parent.name == map[:of] ? without_items(value, map[:inside]) : value]
      end)
    end

    def inputs(step)
      return Json.new(step.inputs) if step.instance?

      Json.new({ "batch_config" => step.definition.batches }) if step.definition.batches
    end

    # Null stands for the array that a map runs over.
    def without_items(value, inside)
      return if inside.empty?

      value.dup.tap { |copy| copy[inside.first] = without_items(value[inside.first], inside.drop(1)) }
    end

    # ---- completing ----------------------------------------------------------

    def random_complete(session)
      held = some_claim(session)
      results = some_result(held)
      operation(session, "complete_step(#{held}, #{results.value.inspect})", sql("complete_step", 3),
                [held.id, held.token, results], [held.handle]) do |moment|
        task, step = step_of(session, held)
        outcome = task.complete(step, held.token, results, moment)
        @tally.result(step, results, outcome)
        raise Refused, "TC011" if outcome == :lease_lost
        raise Refused, "TC022" if outcome == :invalid_result

        [{ task_id: held.handle.task_id, task_state: task.state, steps_ready: ready_count(outcome),
           status: status_of(outcome) }]
      end
    end

    def ready_count(outcome) = outcome.is_a?(Integer) ? outcome : 0
    def status_of(outcome) = outcome.is_a?(Integer) ? "completed" : outcome.to_s

    def random_complete_batch(session)
      complete_batch(session, some_claims(session).map { |held| [held, some_result(held)] })
    end

    def complete_batch(session, items)
      operation(session, "complete_steps(#{items.map(&:first).join(", ")})", sql("complete_steps", 3),
                batch_arguments(items), items.map { |held, _| held.handle }) do |moment, rows|
        outcomes = complete_items(session, items, moment)
        expect_ready_counts(items, outcomes, rows)
        items.zip(outcomes).map { |(held, _), outcome| expect_item(session, held, outcome) }
      end
    end

    def batch_arguments(items)
      [items.map { |held, _| held.id }, items.map { |held, _| held.token }, items.map(&:last)]
    end

    def complete_items(session, items, moment)
      outcomes = Array.new(items.size, :not_found)
      found = items.each_index.filter_map do |i|
        [i, *step_of(session, items[i].first)]
      rescue Refused
        nil
      end
      found.each do |i, task, step|
        outcomes[i] = task.end_with_results(step, items[i].first.token, items[i].last)
        @tally.result(step, items[i].last, outcomes[i])
      end
      follow(found.select { |i, _, _| outcomes[i] == :completed }, outcomes, moment)
    end

    # The steps of a batch end at the same moment: what starts then sees the results of all. The first that
    # completed in a task stands for all of them; and tasks tell each other of it at the end.
    def follow(completed, outcomes, moment)
      tasks = completed.group_by { |_, task, _| task }
      tasks.each do |task, steps|
        steps.each { |i, _, _| outcomes[i] = 0 }
        outcomes[steps.first.first] = task.progress(moment)
      end
      nested = tasks.keys.select(&:family).sort_by { |task| task.handle.task_id }
      nested.each(&:tell_end)
      nested.each(&:tell_rest)
      outcomes
    end

    # Which item of a batch is said to have made a join ready is open; how many are ready is not.
    def expect_ready_counts(items, outcomes, rows)
      items.zip(outcomes).group_by { |(held, _), _| held.handle }.each do |handle, pairs|
        wanted = pairs.sum { |_, outcome| ready_count(outcome) }
        ids = pairs.map { |(held, _), _| held.id }
        got = rows.select { |row| ids.include?(row[:workflow_step_id]) }.sum { |row| row[:steps_ready] }
        raise Disagreement, "#{wanted} steps of #{handle} should be ready, not #{got}" unless wanted == got
      end
    end

    def expect_item(session, held, outcome)
      item = { workflow_step_id: held.id, status: status_of(outcome) }
      return item.merge(task_id: nil, task_state: nil) if outcome == :not_found

      item.merge(task_id: held.handle.task_id, task_state: @world.task(session, held.handle).state)
    end

    def random_complete_and_claim(session)
      items = some_claims(session).map { |held| [held, some_result(held)] }
      filter = some_filter(session)
      max_steps = @random.rand(4)
      lease = pick(Generator::LEASES)
      touched = items.map { |held, _| held.handle }
      operation(session, "complete_and_claim(#{items.map(&:first).join(", ")}; #{max_steps}, #{describe(filter)})",
                sql("complete_and_claim", 5, "lease_seconds", *FILTERS),
                [*batch_arguments(items), session.worker, max_steps, lease, *filter_arguments(filter)],
                touched) do |moment, rows|
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

    # ---- failing -------------------------------------------------------------

    def random_fail(session)
      held = some_claim(session)
      error = Json.new({ "message" => "failure #{@operations}" })
      retryable = chance(@world.task(session, held.handle)&.parent ? 0.2 : 0.8)
      retry_after = pick(Generator::DELAYS) if chance(0.4)
      operation(session, "fail_step(#{held}, #{retryable ? "retryable" : "permanent"}, after #{retry_after.inspect})",
                sql("fail_step", 5), [held.id, held.token, error, retryable, retry_after], [held.handle]) do |moment|
        task, step = step_of(session, held)
        outcome = task.fail(step, held.token, error, retryable, retry_after, moment)
        [{ step_state: outcome.state, next_retry_at: outcome.next_retry_at, task_state: task.state }]
      end
    end

    # ---- holding, giving back ------------------------------------------------

    # A step that does not exist is held by nobody.
    def on_claim(session, held)
      yield(*step_of(session, held))
    rescue Refused
      false
    end

    def random_heartbeat(session)
      claims = some_claims(session)
      lease = pick(Generator::LEASES)
      operation(session, "heartbeat(#{claims.join(", ")}, #{lease})", "#{sql("heartbeat", 4)} ORDER BY 1",
                [session.worker, claims.map(&:id), claims.map(&:token), lease], claims.map(&:handle)) do |moment|
        lost = claims.reject do |held|
          on_claim(session, held) { |task, step| task.heartbeat(step, held.token, lease, moment) }
        end
        lost.map(&:id).sort.map { |id| { workflow_step_id: id } }
      end
    end

    def random_release(session)
      claims = some_claims(session)
      delay = pick(Generator::DELAYS)
      operation(session, "release_steps(#{claims.join(", ")}, #{delay.to_f})", sql("release_steps", 3),
                [claims.map(&:id), claims.map(&:token), delay], claims.map(&:handle)) do |moment|
        released = claims.count do |held|
          on_claim(session, held) { |task, step| task.release(step, held.token, delay, moment) }
        end
        [{ release_steps: released }]
      end
    end

    def random_checkpoint(session)
      held = (some_instance_claim(session) if chance(0.5)) || some_claim(session)
      value = Json.new({ "line" => @operations })
      yields = chance(0.4)
      operation(session, "checkpoint_step(#{held}#{", yield" if yields})", sql("checkpoint_step", 4),
                [held.id, held.token, value, yields], [held.handle]) do |moment|
        task, step = step_of(session, held)
        stored = task.checkpoint(step, held.token, value, yields, moment)
        @tally.checkpoint(step, yields)
        [{ checkpoint_step: stored }]
      end
    end

    # Of a map or a batch worker; nil where there is none.
    def some_instance_claim(session)
      pick(live_claims(session).select { |held| @world.task(session, held.handle).steps.fetch(held.name).instance? })
    end
  end
end
