# frozen_string_literal: true

require_relative "comparison"
require_relative "generator"
require_relative "tally"
require_relative "task_operations"
require_relative "worker_operations"
require_relative "world"

module ModelTest
  # A step as an argument; with the token of a claim, live or not, that was given out once. Without
  # a name it is a step that does not exist.
  Held = Struct.new(:handle, :name, :id, :token, keyword_init: true) do
    def to_s = "#{handle}/#{name || "?"}"
  end

  # The operations: each chooses its arguments, calls the extension, asks the model, and compares.
  # All return whether the call was refused.
  module Operations
    include TaskOperations
    include WorkerOperations

    WEIGHTS = {
      claim: 24, complete: 20, complete_batch: 8, complete_and_claim: 8, fail: 10, heartbeat: 3, release: 4,
      checkpoint: 8, create: 6, create_many: 2, cancel: 2, pause: 4, resume: 3, retry_task: 4, reset: 3, resolve: 2,
      skip: 2, transition_task: 2, transition_step: 4, clock: 9, signal: 5, pause_above: 2, resume_above: 4
    }.freeze
    CHOICES = WEIGHTS.flat_map { |name, weight| [name] * weight }.freeze
    # What is done besides, by the theme of the seed (see Scenario#theme?).
    THEMES = [CHOICES, %i[claim complete complete checkpoint reset skip resolve],
              %i[claim complete fail fail retry_task reset pause resume], CHOICES].freeze
    ON_CLAIMS = %i[complete complete_batch complete_and_claim fail heartbeat release checkpoint].freeze
    MANY = 10                   # tasks at work at the same time
    REMEMBERED = 400            # claims that may come up again

    Refusal = Struct.new(:sqlstate, :text) do
      def inspect = "refused #{sqlstate} (#{text})"
    end

    private

    def operate(session)
      choice = pick(chance(0.25) ? THEMES.fetch(@seed % 4) : CHOICES)
      choice = :create if @world.free(session).empty?
      choice = :claim if choice == :create && active(session).count { |handle| @world.task(session, handle).parent.nil? } >= MANY
      choice = :claim if idle?(session, choice) && chance(0.85)
      send(:"random_#{choice}", session)
    end

    # Would it find nothing to do? Then it is mostly left out.
    def idle?(session, choice)
      case choice
      when *ON_CLAIMS then live_claims(session).empty?
      when :signal then free_and(session) { |task| task.steps.values.any?(&:wait) }.empty?
      when :resume then free_and(session, &:paused).empty?
      when :retry_task then free_and(session) { |task| task.state == "error" }.empty?
      when :resume_above then @world.holds.empty?
      end
    end

    def random_clock(_session)
      move_clock(Generator::TICK * pick([1, 1, 1, 1, 1, 2, 2, 3, 20]))
      false
    end

    # ---- one call ------------------------------------------------------------

    # Calls, predicts and compares. The block is given the moment of the call and the rows that came
    # (for ids and tokens, which the model cannot know); it changes the model and says which rows had
    # to come, or raises Refused.
    # @param touched [Array<Handle>] the tasks to compare afterwards
    def operation(session, text, sql, parameters, touched)
      @operations += 1
      moment = @family.now = now
      held = @flow.holders unless session.open?
      answer = ask(session, sql, parameters)
      note(session, text, brief(answer))
      expected = predict { yield moment, answer.is_a?(Refusal) ? [] : answer }
      agree(text, expected, answer)
      @flow.count_freed(text[/\A\w+/], held) if held
      refused = expected.is_a?(Refused)
      touched = (touched + @family.take_touched).uniq
      touched.select! { chance(0.3) } if @draining
      check(touched, session) unless refused && session.open?
      refused
    end

    # A call with so many arguments by position, and more by name.
    def sql(verb, count, *named)
      arguments = Array.new(count) { |i| "$#{i + 1}" }
      arguments += named.each_with_index.map { |name, i| "#{name} => $#{count + i + 1}" }
      "SELECT * FROM tasker.#{verb}(#{arguments.join(", ")})"
    end

    def ask(session, sql, parameters)
      session.server.rows(sql, parameters)
    rescue PG::Error => e
      raise if e.result.nil?

      Refusal.new(e.result.error_field(PG::Result::PG_DIAG_SQLSTATE),
                  e.result.error_field(PG::Result::PG_DIAG_MESSAGE_PRIMARY))
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

    UNTOLD = %i[claim_token correlation_id namespace task_name task_version task_context error].freeze

    def brief(answer)
      return answer.inspect if answer.is_a?(Refusal)

      answer.map { |row| row.except(*UNTOLD).values.compact.first(5).join(" ") }.join(", ")
    end

    # ---- choosing ------------------------------------------------------------

    # Templates whose tasks it may change.
    def reachable(session) = session.open? ? @templates.reject { |template| template.limited? || template.nested } : @templates

    # Where the contract has most to say: batches that run, and tasks that run for others.
    def telling?(session, handle)
      task = @world.task(session, handle)
      !task.final? && (task.parent || task.steps.values.any? { |step| step.child || step.definition.batches || (step.instance? && step.definition.map[:config]) })
    end

    def telling(session) = @world.free(session).select { |handle| telling?(session, handle) }

    # One of the tasks, mostly one that has more to say; nil: there is none.
    def some_of(session, handles)
      best = handles & telling(session)
      best.any? && chance(0.6) ? pick(best) : pick(handles)
    end

    def some_handle(session)
      handle = pick(telling(session)) if chance(0.35)
      return handle if handle

      free = @world.free(session)
      busy = free.reject { |handle| @world.task(session, handle).final? }
      busy.empty? || chance(0.15) ? pick(free) : pick(busy)
    end

    # A task that was rolled back.
    def ghost
      @world.handles.reverse.find do |handle|
        handle.owner.nil? && @sessions.all? { |session| @world.task(session, handle).nil? }
      end
    end

    # @param states [Array<String>, nil] where the step should preferably be
    def some_step(session, states = nil)
      handle = some_handle(session)
      handle = ghost || handle if chance(0.02)
      return limited_claim(session) || some_step(session, states) if chance(@focus * 0.2)

      special = pick([some_instance(session), some_task_step(session)].compact) if chance(0.45)
      return special if special

      steps = @world.task(session, handle)&.steps&.values || []
      wanted = states && chance(0.8) ? steps.select { |step| states.include?(step.state) } : steps
      step = pick(wanted) || pick(steps)
      return Held.new(handle: handle, id: unknown_id(handle)) if step.nil? || chance(0.02)

      Held.new(handle: handle, name: step.name, id: handle.ids.fetch(step.name))
    end

    # A step that holds a key; nil: there is none.
    def limited_claim(session)
      place = pick(session.open? ? [] : @flow.places.select { |one| one.step.claim }) or return
      Held.new(handle: place.handle, name: place.step.name, id: place.id)
    end

    # One of a map whose instances run or failed, or the map; nil: there is none.
    def some_instance(session)
      handle = pick(@world.free(session).select { |other| instances(session, other).any? { |step| !step.ended? || step.blocks? } }) or return
      steps = instances(session, handle)
      step = pick(steps + steps.map { |instance| @world.task(session, handle).steps.fetch(instance.map) }.uniq)
      Held.new(handle: handle, name: step.name, id: handle.ids.fetch(step.name))
    end

    # One that runs as a task, or failed with it; nil: there is none.
    def some_task_step(session)
      steps = candidates(session, {}).select { |one| !one.task.final? && (one.step.as_task? || (one.step.child && one.step.blocks?)) }
      special = steps.select { |one| one.task.paused || one.step.blocks? }
      one = pick(special.any? && chance(0.5) ? special : steps)
      one && Held.new(handle: one.handle, name: one.step.name, id: one.id)
    end

    def instances(session, handle)
      task = @world.task(session, handle)
      task.final? ? [] : task.steps.values.select(&:instance?)
    end

    def unknown_id(handle) = handle.task_id * 1_000_000 + handle.template.steps.size + (handle.template.steps.any?(&:map) ? 50 : 1) + @random.rand(3)

    def live?(session, held)
      claim = held.name && @world.task(session, held.handle)&.steps&.[](held.name)&.claim
      !claim.nil? && claim.token == held.token
    end

    def known_claims(session)
      @claims.select { |held| @world.free?(session, held.handle) }
    end

    def live_claims(session) = known_claims(session).select { |held| live?(session, held) }

    # Mostly a live claim, preferably of a task that was paused meanwhile; else one of old, or one with
    # another's token.
    def some_claim(session)
      @claims = @claims.last(REMEMBERED)
      known = known_claims(session)
      live = live_claims(session)
      paused = live.select { |held| @world.task(session, held.handle).paused }
      return pick(paused) if paused.any? && chance(0.4)

      best = live.select { |held| telling?(session, held.handle) }
      return pick(best) if best.any? && chance(0.4)
      return pick(live) if live.any? && chance(0.85)
      return Held.new(**some_step(session).to_h, token: 1 + @random.rand(1000)) if known.empty? || chance(0.1)

      held = pick(known)
      chance(0.25) ? Held.new(**held.to_h, token: pick(known).token) : held
    end

    def some_claims(session) = Array.new(1 + @random.rand(5)) { some_claim(session) }.uniq(&:id)

    # Of steps that decide or name batches, mostly one that can be followed.
    def some_result(held = nil)
      definition = held&.name && held.handle.template.steps.find { |step| step.name == held.name }
      maps = held&.name ? held.handle.template.steps.filter_map(&:map).select { |map| map[:of] == held.name } : []
      return some_outcome(held) if definition&.batches && chance(0.95)
      return Json.new(@generator.wrapped(pick(Generator::LISTS), maps)) if maps.any? && !definition&.decision && chance(0.8)
      return Json.new(Generator::LONG) if @bytes && definition.nil? && chance(0.7)
      return Json.new(pick(Generator::RESULTS)) unless definition&.decision && chance(0.9)
      return Json.new({ "branches" => ["nobody"] }) if chance(0.05)

      below = held.handle.template.steps.select { |step| step.parents.include?(held.name) }
      below += held.handle.template.steps.select { |step| (step.parents & below.map(&:name)).any? } if chance(0.3)
      Json.new({ "branches" => below.map(&:name).uniq.select { chance(0.5) } })
    end

    # Of a batchable step.
    def some_outcome(held, spoilt: chance(0.35))
      width = spoilt ? 4 : @width || 4
      Json.new(@generator.outcome(held.handle.template.batch_worker(held.name), spoilt: spoilt, width: width))
    end

    # ---- what the model is asked about ---------------------------------------

    def task_of(session, handle)
      raise Refused, "TC002" if @world.task(session, handle).nil?

      @world.task_to_change(session, handle)
    end

    # @return [Array(Task, Step)]
    def step_of(session, held)
      raise Refused, "TC003" if held.name.nil? || @world.task(session, held.handle).nil?

      task = @world.task_to_change(session, held.handle)
      [task, task.steps[held.name] || raise(Refused, "TC003")]
    end
  end
end
