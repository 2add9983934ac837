# frozen_string_literal: true

module ModelTest
  # Creating tasks, and what people do to them.
  module TaskOperations
    Request = Struct.new(:template, :named, :key, :priority, :run_at, :at, :arguments, keyword_init: true) do
      def identity = [template.namespace, template.name, key]

      def to_s
        [template.name, ("@#{template.version}" if named), " of #{template.steps.size} steps", key && ", #{key}",
         run_at && ", at #{arguments["run_at"]}"].compact.join
      end
    end

    private

    # ---- creating ------------------------------------------------------------

    def some_request(session)
      template = pick(chance(@focus) ? reachable(session).last(3) : @wanted.select { |other| reachable(session).include?(other) })
      named = chance(0.5)
      template = newest(template) unless named
      run_at, time = appointment(pick([-600, 600, 1200])) if chance(0.2)
      at, at_text = chance(0.6) ? appointment(pick([-600, 600, 1200])) : [nil, (["soon", "2026-02-30T00:00"][@random.rand(2)] if chance(0.5))]
      priority = pick([0, 0, 0, 5, -5, 40_000])
      key = some_key(session, template)
      arguments = {
        "name" => template.name, "namespace" => template.namespace, "version" => (template.version if named),
        "context" => { "order" => @operations, "at" => at_text, **some_list(template) }.compact.merge(template.limited? ? @generator.customer : {}),
        "idempotency_key" => key, "run_at" => time, "priority" => priority, "initiator" => pick([nil, "shop"])
      }
      Request.new(template: template, named: named, key: key, priority: priority, run_at: run_at, at: at,
                  arguments: arguments.compact)
    end

    # What maps run over.
    def some_list(template)
      maps = template.steps.filter_map(&:map).select { |map| map[:of] == "context.list" }
      return { "list" => @generator.wrapped(pick(Generator::LISTS), maps) } if chance(0.9)

      chance(0.5) ? {} : { "list" => pick([7, "none", {}, false]) }
    end

    # Templates of one name stand by version, 0.9.0 before 0.10.0.
    def newest(template)
      @templates.reverse.find { |other| other.namespace == template.namespace && other.name == template.name }
    end

    # Not one that an open transaction of another session has: we would have to wait for its end.
    def some_key(session, template)
      key = "key #{@random.rand(6)}"
      return if chance(0.65) || @world.key_taken?(@sessions, session, [template.namespace, template.name, key])

      key
    end

    def random_create(session)
      request = some_request(session)
      unknown = chance(0.02)
      request.arguments["name"] = "none such" if unknown
      parameters = request.arguments.values.map { |value| value.is_a?(Hash) ? Json.new(value) : value }
      touched = []
      operation(session, "create_task(#{request})", sql("create_task", 0, *request.arguments.keys), parameters,
                touched) do |moment, rows|
        raise Refused, "TC001" if unknown

        [create(session, request, rows.first, moment, touched)]
      end
    end

    def random_create_many(session)
      requests = Array.new(1 + @random.rand(4)) { some_request(session) }
      touched = []
      operation(session, "create_tasks(#{requests.join("; ")})", sql("create_tasks", 1),
                [Json.new(requests.map(&:arguments))], touched) do |moment, rows|
        requests.each_with_index.map do |request, i|
          create(session, request, rows[i], moment, touched).merge(ordinal: i + 1)
        end
      end
    end

    # @return [Hash] the row that has to come
    def create(session, request, row, moment, touched)
      existing = @world.key(session, request.identity) if request.key
      return expect_existing(session, existing) if existing

      template = request.template
      handle = Handle.new(@world.handles.size + 1, row ? row[:task_id] : 0, template, @numbers.fetch(template))
      task = Task.new(template, moment, handle.numbers, priority: request.priority, run_at: request.run_at,
                      context: Json.new(request.arguments["context"]), at: request.at, width: @width, bytes: @bytes, holds: @world.holds)
      template.nested ? @family.adopt(task, handle) : @world.add(session, handle, task)
      @world.add_key(session, request.identity, handle) if request.key
      touched << handle
      { created: true, step_count: template.steps.size, state: @world.task(session, handle).state }
    end

    def expect_existing(session, handle)
      { task_id: handle.task_id, created: false, step_count: handle.template.steps.size,
        state: @world.task(session, handle).state }
    end

    # ---- whole tasks ---------------------------------------------------------

    # @yieldreturn what the call answers
    def on_task(session, verb, handle = nil)
      handle ||= (ghost if chance(0.02)) || some_handle(session)
      operation(session, "#{verb}(#{handle})", sql(verb, 2), [handle.task_id, "by the test"], [handle]) do |moment|
        [{ verb.to_sym => yield(task_of(session, handle), moment) }]
      end
    end

    def free_and(session) = @world.free(session).select { |handle| yield @world.task(session, handle) }

    def random_cancel(session)
      handle = limited_claim(session)&.handle if chance(0.3)
      handle ||= pick(free_and(session) { |task| task.parent && !task.final? }) if chance(0.4)
      on_task(session, "cancel_task", handle) { |task| task.cancel }
    end

    def random_pause(session)
      held = free_and(session) { |task| task.steps.values.any? { |step| step.claim || step.as_task? } }
      on_task(session, "pause_task", (some_of(session, held) if chance(0.7))) { |task| task.pause(true) }
    end

    def random_resume(session) = resume(session, some_of(session, free_and(session, &:paused)))
    def resume(session, handle) = on_task(session, "resume_task", handle) { |task| task.pause(false) }

    # Counts at once for all, so not in a transaction that may be rolled back.
    def random_pause_above(_session) = hold(some_place, true)
    def random_resume_above(_session) = hold((pick(@world.holds.to_a) if chance(0.9)) || some_place, false)

    # A template, or a namespace.
    def some_place
      template = pick(@templates)
      [template.namespace, (template.name if chance(0.6))].compact
    end

    def hold(place, held)
      session = @sessions.reject(&:open?).first or return false
      verb = "#{held ? "pause" : "resume"}_#{place.one? ? "namespace" : "template"}"
      below = @world.visible(session).select { |handle| handle.template.place.first(place.size) == place }
      operation(session, "#{verb}(#{place.last.split.last})", sql(verb, place.size), place.reverse, below.last(3)) do
        changed = held ? @world.holds.add?(place) : @world.holds.delete?(place)
        [{ verb.to_sym => !changed.nil? }]
      end
      compare_pauses(session, place.first)
      false
    end

    PAUSES = "SELECT namespace, task_name FROM tasker.list_pauses($1) WHERE resumed_at IS NULL"

    def compare_pauses(session, namespace)
      listed = session.server.rows(PAUSES, [namespace]).map { |row| row.values.compact }.sort
      held = @world.holds.select { |place| place.first == namespace }.sort
      raise Disagreement, "list_pauses says #{listed.inspect}, should say #{held.inspect}" unless listed == held
    end

    def random_retry_task(session)
      failed = some_of(session, free_and(session) { |task| task.state == "error" }) if chance(0.8)
      on_task(session, "retry_task", failed) { |task, moment| task.retry(moment) }
    end

    def random_transition_task(session)
      handle = some_handle(session)
      to = pick(TASK_STATES)
      expected = pick(TASK_STATES + [@world.task(session, handle).state] * 4) if chance(0.4)
      operation(session, "transition_task(#{handle}, #{to}, #{expected || "any"})", sql("transition_task", 3),
                [handle.task_id, to, expected], [handle]) do |moment|
        [{ transition_task: task_of(session, handle).transition(to, expected, moment) }]
      end
    end

    # ---- steps ---------------------------------------------------------------

    def random_transition_step(session)
      held = some_step(session)
      to = pick(STEP_STATES)
      now_in = held.name && @world.task(session, held.handle)&.steps&.[](held.name)&.state
      expected = pick(STEP_STATES + [now_in].compact * 6) if chance(0.4)
      results = some_result(held) if to == "resolved_manually" && chance(0.5)
      operation(session, "transition_step(#{held}, #{to}, #{expected || "any"})",
                sql("transition_step", 3, "results"), [held.id, to, expected, results], [held.handle]) do |moment|
        task, step = step_of(session, held)
        [{ transition_step: !by_hand(task, step, to, moment, expected: expected, results: results).nil? }]
      end
    end

    def by_hand(task, step, to, moment, **options)
      from = step.state
      task.move_step(step, to, moment, **options).tap { |readied| @tally.move(step, from, to) unless readied.nil? }
    rescue Refused => e
      @tally.refusal(step, e)
      raise
    end

    def random_reset(session)
      move(session, "reset_step", some_step(session, %w[in_progress waiting_for_retry error]), "pending")
    end

    def random_skip(session)
      move(session, "skip_step", some_step(session, %w[pending in_progress error]), "skipped")
    end

    def random_resolve(session)
      held = some_step(session, %w[pending waiting_for_retry error])
      move(session, "resolve_step", held, "resolved_manually", some_result(held))
    end

    # ---- signals -------------------------------------------------------------

    def random_signal(session)
      waiting = free_and(session) { |task| task.steps.values.any?(&:wait) }
      handle = (pick(waiting) if chance(0.8)) || some_handle(session)
      names = handle.template.steps.filter_map { |step| step.signal&.fetch(:name) }.uniq
      names = ["nobody waits"] if names.empty? || chance(0.03)
      send_signal(session, handle, pick(names))
    end

    def send_signal(session, handle, name)
      payload = Json.new(pick(Generator::RESULTS))
      operation(session, "send_signal(#{handle}, #{name})", sql("send_signal", 3), [handle.task_id, name, payload],
                [handle]) do |moment|
        [{ send_signal: task_of(session, handle).signal(name, payload, moment) }]
      end
    end

    def move(session, verb, held, to, results = nil)
      parameters = [held.id, results, "by the test"].compact
      operation(session, "#{verb}(#{held})", sql(verb, parameters.size), parameters, [held.handle]) do |moment|
        task, step = step_of(session, held)
        readied = by_hand(task, step, to, moment, results: results)
        [{ task_id: held.handle.task_id, task_state: task.state, steps_ready: readied || 0 }]
      end
    end
  end
end
