# frozen_string_literal: true

require "json"
require "set"
require_relative "instances"
require_relative "jsonb"
require_relative "limits"
require_relative "moment"
require_relative "nesting"

module ModelTest
  # What the contract says about one task, written down as plainly as possible: a state a step,
  # and everything else worked out anew from the states whenever it is asked for. It knows nothing
  # of queues, counters, locks or lanes.
  class Refused < StandardError
    def initialize(sqlstate) = super
    def sqlstate = message
  end

  # signal: {name, timeout, on_timeout}; map: {of, parallelism, strategy}, of "context.list" or a parent's name;
  # batches: the batch_config of a batchable step, which its worker, a map over its cursors, has as map[:config];
  # workflow: {name, version, context, fits} of a step that runs as a task; in the context {"path" => ["context" or "results", name]};
  # fits: whether its result_schema, where it has one, holds for what that comes to;
  # run_at: whether it waits for context.at; condition: {of, op, value}, of "context.order" or a parent's name
  Definition = Struct.new(:name, :parents, :queue, :priority, :retryable, :max_attempts, :backoff, :base_ms, :cap_ms,
                          :timeout, :on_failure, :rule, :decision, :condition, :unmet, :delay, :run_at, :signal, :map,
                          :limit, :batches, :workflow, keyword_init: true)
  Wait = Struct.new(:deadline, keyword_init: true)
  # needs: a key that its input_schema wants in the context; nested: whether its tasks may have steps that run as tasks, or run for such steps
  Template = Struct.new(:namespace, :name, :version, :steps, :fail_fast, :limit, :needs, :nested, keyword_init: true) do
    def limited? = !limit.nil? || steps.any?(&:limit)
    def place = [namespace, name]

    # @param batchable [String] the name of a step that names batches
    def batch_worker(batchable) = steps.find { |step| step.map && step.map[:config] && step.map[:of] == batchable }
  end
  Claim = Struct.new(:token, :claimed_at, :lease_until, :key, keyword_init: true)
  Outcome = Struct.new(:state, :next_retry_at, keyword_init: true)

  TASK_STATES = %w[pending in_progress complete error cancelled resolved_manually].freeze
  FINAL_TASK_STATES = %w[complete cancelled resolved_manually].freeze
  STEP_STATES = %w[pending in_progress waiting_for_retry complete error cancelled skipped resolved_manually].freeze

  # Where people may move a step, from where.
  STEP_MOVES_BY_HAND = {
    "pending" => %w[cancelled skipped resolved_manually],
    "in_progress" => %w[pending cancelled skipped resolved_manually],
    "waiting_for_retry" => %w[pending cancelled skipped resolved_manually],
    "error" => %w[pending cancelled skipped resolved_manually],
    "complete" => [], "cancelled" => [], "skipped" => [], "resolved_manually" => []
  }.freeze
  TASK_MOVES_BY_HAND = {
    "pending" => %w[cancelled resolved_manually],
    "in_progress" => %w[cancelled resolved_manually],
    "error" => %w[in_progress cancelled resolved_manually],
    "complete" => [], "cancelled" => [], "resolved_manually" => []
  }.freeze

  MAX_RETRY_AFTER = 3600

  class Step
    attr_reader :definition, :outcomes, :map, :inputs
    attr_accessor :state, :attempts, :called_off, :not_before, :claim, :checkpoint, :results, :attempt_error,
                  :own_error, :asked, :last_failure_at, :last_attempted_at, :wait, :branches, :begins_at, :placed, :again,
                  :began_at, :child
    attr_writer :aside

    # @param map [String, nil] of an instance: the map that it is one of
    # @param inputs [Hash, nil] what an instance runs for
    def initialize(definition, map: nil, inputs: nil, index: nil)
      @definition = definition
      @map = map
      @inputs = inputs
      @index = index
      @placed = false           # an instance that has entered the queue
      @state = "pending"
      @attempts = 0             # ended since the last reset
      @outcomes = {}            # by the token of the claim that a report ended
    end

    def initialize_copy(other)
      super
      @outcomes = @outcomes.dup
    end

    # The key under which a claim found no room for it.
    def aside = (@aside unless ended?)

    def name = map ? Step.instance_name(definition, @index) : definition.name
    def self.instance_name(map, index) = map.map[:config] ? format("%s_%03d", map.name, index + 1) : "#{map.name}[#{index}]"
    def instance? = !map.nil?
    def map? = !definition.map.nil? && !instance?

    # A step whose turn to run as a task has come; the task may not be there yet.
    def as_task? = !definition.workflow.nil? && state == "in_progress"

    # The same, and its time has come.
    def runs_as_task?(now) = as_task? && not_before <= now

    # A map whose instances run.
    def maps? = map? && state == "in_progress"

    # Does more than an attempt of a worker begin when its turn comes?
    def gated? = [definition.condition, definition.signal, definition.run_at, definition.map, definition.workflow].any?

    def failure_rule = instance? ? definition.map[:strategy] : definition.on_failure
    def done? = %w[complete resolved_manually].include?(state)
    def ended? = done? || %w[error cancelled skipped].include?(state)

    # Its rule has let it run.
    def begun? = !ended? && !(not_before.nil? && wait.nil?)

    # What it means for a child: open, satisfied, skipped, cancelled or failed.
    def fate(taken)
      case state
      when "complete", "resolved_manually" then taken ? "satisfied" : "skipped"
      when "skipped", "cancelled" then state
      when "error" then { "fail" => "failed", "skip" => "skipped", "continue" => "satisfied" }[failure_rule]
      else "open"
      end
    end

    def blocks? = failed?("fail")
    def last_error = state == "error" && own_error ? own_error : attempt_error
    def passed_over? = state == "error" && !blocks?

    # Is the attempt that is now under way, or was just lost, not the last one?
    def attempts_left? = definition.retryable && attempts + 1 < definition.max_attempts

    def retry_eligible? = !ended? && (attempts.zero? || (definition.retryable && attempts < definition.max_attempts))

    # Seconds before the next try, after the given number of attempts.
    def backoff(attempt)
      factor = { "none" => 0, "linear" => attempt, "exponential" => 2**(attempt - 1),
                 "fibonacci" => fibonacci(attempt) }.fetch(definition.backoff)
      Rational([definition.base_ms * factor, definition.cap_ms].min, 1000)
    end

    private

    def failed?(rule) = state == "error" && failure_rule == rule

    def fibonacci(number) = number <= 2 ? 1 : fibonacci(number - 1) + fibonacci(number - 2)
  end

  class Task
    include LimitedTask
    include Instances
    include Nesting

    attr_reader :template, :priority, :run_at, :steps, :context, :kept
    attr_reader :state
    attr_accessor :paused

    # @param now [Moment] of this operation, as everywhere here
    # @param numbers [Hash{String => Integer}] step_no by name: a topological order
    # @param at [Moment, nil] the time in its context, nil where there is none
    # @param width [Integer, nil] how many elements a map may have, and bytes their results together
    # @param holds [Set] of what is paused now and later: templates, as [namespace, name], and namespaces, as [namespace]
    def initialize(template, now, numbers, priority: 0, run_at: nil, context: {}, at: nil, width: nil, bytes: nil, holds: Set.new)
      @template = template
      @priority = priority
      @run_at = run_at
      @context = context
      @at = at
      @width = width
      @bytes = bytes
      @holds = holds
      @state = "pending"
      @paused = false
      @kept = []                # signals that no step has taken: [name, payload]
      @launches = []            # steps that run as tasks from now on
      @orphans = []             # steps whose tasks have nobody to run for
      ordered = template.steps.sort_by { |definition| numbers.fetch(definition.name) }
      @steps = ordered.to_h { |definition| [definition.name, Step.new(definition)] }
      # due since run_at, also when that has passed: an old appointment goes before a new task
      @steps.each_value do |step|
        next unless step.definition.parents.empty? && !step.gated?

        step.not_before = (run_at || now) + (step.definition.delay || 0)
      end
      begin_steps(now)
      return if @steps.values.none? { |step| step.ended? || step.runs_as_task?(now) }

      @state = "in_progress"
      close unless can_run?
    end

    def initialize_copy(other)
      super
      @steps = @steps.transform_values(&:dup)
      @kept = @kept.dup
    end

    # What begins is told: a scheduled task begins with the first of those that run for its steps.
    def state=(wanted)
      began = @state == "pending" && wanted == "in_progress"
      @state = wanted
      family&.began(self) if began
    end

    def final? = FINAL_TASK_STATES.include?(state)
    def held_above? = @holds.include?(template.place) || @holds.include?(template.place.first(1))
    def held? = paused || held_above?

    # nil: by nothing but itself
    def held_by
      held = { "namespace" => template.place.first(1), "template" => template.place }.select { |_, place| @holds.include?(place) }
      held.keys unless held.empty?
    end

    def parents(step) = step.definition.parents.map { |name| steps.fetch(name) }
    def children(step) = nodes.select { |other| other.definition.parents.include?(step.name) }

    # The steps of the template, without those that a map made, which stand behind them.
    def nodes = steps.values.reject(&:instance?)

    def fates(step) = parents(step).map { |parent| parent.fate(taken?(parent, step)) }

    # What a step does about its parents: run, wait, or end with them.
    def verdict(step)
      fates = fates(step)
      open = fates & %w[open failed]
      case step.definition.rule
      when "all_satisfied" then open_or(open, fates.include?("cancelled") ? "cancelled" : ("skipped" if fates.include?("skipped")))
      when "all_done" then fates.include?("open") ? "waits" : "runs"
      when "one_satisfied" then fates.include?("satisfied") ? "runs" : open_or(open, nil, fates)
      when "none_failed" then fates.include?("satisfied") ? open_or(open, nil) : open_or(open, nil, fates)
      end
    end

    # Parents that a step waits for no more.
    def counted(step)
      return step.definition.parents.size if step.instance?

      counting = { "all_satisfied" => %w[satisfied], "all_done" => %w[satisfied skipped cancelled failed] }
      wanted = counting.fetch(step.definition.rule, %w[satisfied skipped cancelled])
      fates(step).count { |fate| wanted.include?(fate) }
    end

    def satisfied?(step) = step.begun? || step.maps? || step.instance? || verdict(step) == "runs"
    def step_priority(step) = (priority + step.definition.priority).clamp(-32_768, 32_767)

    # ---- readiness -----------------------------------------------------------

    def ready?(step, now)
      %w[pending waiting_for_retry].include?(step.state) && !step.not_before.nil? && !step.aside && !held? && !final? &&
        step.not_before <= now
    end

    def lease_expired?(step, now) = !step.claim.nil? && step.claim.lease_until <= now

    def claimable?(step, now) = ready?(step, now) || (!held? && lease_expired?(step, now) && step.attempts_left?)

    # Since when a claimable step is: what claims of one priority are ordered by.
    def claimable_since(step) = step.claim ? step.claim.lease_until : step.not_before

    # Something in it runs, or will without anybody's doing.
    def can_run? = steps.values.any?(&:begun?)

    # ---- the verbs of workers ------------------------------------------------

    # An expired lease that was the last attempt; the next claim that could have taken it sees to it.
    def close_exhausted(step, now)
      lose_attempt(step, now)
      step.state = "error"
      step.claim = nil
      step.not_before = nil
      final_failure(step)
      settle(now)
    end

    def claim(step, token, lease_seconds, now)
      lose_attempt(step, now) if step.state == "in_progress"
      lease = [lease_seconds, step.definition.timeout].compact.min
      step.state = "in_progress"
      step.claim = Claim.new(token: token, claimed_at: now, lease_until: now + lease, key: flow_key(step))
      step.last_attempted_at = now
      self.state = "in_progress"
    end

    # @return [Symbol, Integer] :already_completed, :lease_lost, :invalid_result, or how many steps it made ready
    def complete(step, token, results, now)
      outcome = end_with_results(step, token, results)
      outcome == :completed ? settle(now) : outcome
    end

    # @return [Symbol] as above, or :completed; what follows is left to settle, or to progress and the two tell_...
    def end_with_results(step, token, results)
      unless holds?(step, token)
        return step.outcomes[token]&.state == "complete" ? :already_completed : :lease_lost
      end

      return :invalid_result unless followed?(step, results)

      end_attempt(step, token, "complete")
      step.results = results
      :completed
    end

    def fail(step, token, error, retryable, retry_after, now)
      return step.outcomes[token] || raise(Refused, "TC011") unless holds?(step, token)

      again = retryable && step.attempts_left?
      delay = retry_after ? [retry_after, MAX_RETRY_AFTER].min : step.backoff(step.attempts + 1)
      next_retry_at = now + delay if again
      end_attempt(step, token, again ? "waiting_for_retry" : "error", next_retry_at)
      step.not_before = next_retry_at
      step.asked = retry_after&.ceil if again
      step.attempt_error = error
      step.last_failure_at = now
      final_failure(step) unless again
      settle(now)
      step.outcomes[token]
    end

    # @return [Boolean] whether the claim is held
    def heartbeat(step, token, lease_seconds, now)
      return false unless holds?(step, token)

      timeout = step.definition.timeout
      wanted = [now + lease_seconds, step.claim.lease_until].max
      ends = [wanted, (step.claim.claimed_at + timeout if timeout)].compact.min
      step.claim = Claim.new(**step.claim.to_h, lease_until: ends)
      true
    end

    def release(step, token, delay, now)
      return false unless holds?(step, token)

      step.state = "pending"
      step.claim = nil
      step.not_before = now + delay
      true
    end

    def checkpoint(step, token, value, yields, now)
      raise Refused, "TC011" unless holds?(step, token)

      step.checkpoint = value
      release(step, token, 0, now) if yields
      true
    end

    # ---- what people do ------------------------------------------------------

    def cancel = end_by_hand("cancelled")
    def resolve = end_by_hand("resolved_manually")

    def pause(wanted)
      raise Refused, "TC012" if final?
      return false if paused == wanted

      self.paused = wanted
      forget_aside
      launch_all unless wanted
      true
    end

    # @return [Integer] how many steps are tried again
    def retry(now)
      return 0 unless state == "error"

      failed = steps.values.select(&:blocks?)
      change(failed, now) { failed.each { |step| reopen(step) } }
      failed.size
    end

    def transition(to, expected, now)
      raise Refused, "TC010" if expected && expected != state
      return false if to == state
      raise Refused, "TC012" if final?
      raise Refused, "TC010" unless TASK_MOVES_BY_HAND.fetch(state).include?(to)

      case to
      when "cancelled" then cancel
      when "resolved_manually" then resolve
      else self.retry(now).positive?
      end
    end

    # @return [Integer, nil] how many steps it made ready; nil when the step is in that state already
    def move_step(step, to, now, expected: nil, results: nil)
      raise Refused, "TC010" if expected && expected != step.state
      return nil if to == step.state
      raise Refused, "TC012" if final?
      raise Refused, "TC010" unless STEP_MOVES_BY_HAND.fetch(step.state).include?(to) && !step.passed_over?

      raise Refused, "TC010" if step.maps? && to == "pending"
      raise Refused, "TC022" if to == "resolved_manually" && !followed?(step, results)

      change([step], now) { to == "pending" ? reopen(step) : end_step(step, to, results) }
    end

    # ---- signals -------------------------------------------------------------

    # @return [Boolean] whether a waiting step took it
    def signal(name, payload, now)
      raise Refused, "22023" unless template.steps.any? { |definition| definition.signal&.fetch(:name) == name }

      step = steps.values.find { |other| other.wait && other.definition.signal[:name] == name }
      raise Refused, "TC012" if final?
      return !kept.push([name, payload]) if step.nil?

      end_wait(step, "complete", payload, now)
      true
    end

    def overdue?(step, now) = !held? && !step.wait.nil? && !step.wait.deadline.nil? && step.wait.deadline <= now

    # What the next claim in its queue sees to.
    def time_out(step, now)
      to = { "fail" => "error", "skip" => "skipped", "complete" => "complete" }[step.definition.signal[:on_timeout]]
      step.own_error = Json.new({ "message" => "no signal came in time" }) if to == "error"
      end_wait(step, to, (Json.new(nil) if to == "complete"), now)
    end

    # Marks what has become ready; a task in which nothing can run any more is over.
    # @return [Integer] how many steps that is
    def progress(now)
      ready = begin_steps(now)
      close unless can_run?
      ready
    end

    private

    # What follows when people move steps, which the block does.
    def change(moved, now)
      failed = state == "error"
      call_back
      open = steps.values.reject(&:ended?)
      running = moved.select(&:as_task?)
      yield
      self.state = "in_progress"
      ready = begin_steps(now)
      family&.goes_on(self) if failed
      close unless can_run?
      @orphans = running + (open + moved).select(&:ended?)
      tell
      ready
    end

    def end_step(step, to, results)
      step.state = to
      step.claim = nil
      step.wait = nil
      step.results = results
      cancel_instances(step)
    end

    def open_or(open, ended, fates = nil)
      return ended if ended
      return "waits" if open.any?

      fates.nil? || fates.empty? ? "runs" : "skipped"
    end

    # ---- decisions -----------------------------------------------------------

    # Do the results of a step that decides, or names batches, say so?
    def followed?(step, results)
      return !(results.nil? || batches_of(step, results).nil?) if step.definition.batches

      !step.definition.decision || decide(step, results)
    end

    def taken?(parent, child) = parent.branches.nil? || parent.branches.include?(child.name)

    # @return [Boolean] whether the results say which branches to take
    def decide(step, results)
      names = results&.value.is_a?(Hash) ? results.value["branches"] : nil
      return false unless names.is_a?(Array) && (names - descendants(step).map(&:name)).empty?

      branches = children(step)
      further = names - branches.map(&:name)
      step.branches = branches.select do |branch|
        names.include?(branch.name) || (descendants(branch).map(&:name) & further).any?
      end.map(&:name)
      true
    end

    def descendants(step, found = [])
      (children(step) - found).each { |child| descendants(child, found << child) unless found.include?(child) }
      found
    end

    # ---- steps that start by themselves --------------------------------------

    # Ends and starts what its parents let, from above to below.
    # @return [Integer] how many steps that made ready
    def begin_steps(now) = nodes.sum { |step| begin_step(step, now) }

    def begin_step(step, now)
      return 0 if step.ended? || step.begun? || step.claim
      return run_map(step, now) if instances(step).any?

      case (verdict = verdict(step))
      when "skipped", "cancelled" then step.state = verdict
      when "runs" then start(step, now)
      end
      return run_map(step, now) if step.maps?

      step.not_before && !step.as_task? ? 1 : 0
    end

    def start(step, now)
      base = [now, run_at].compact.max
      if step.definition.condition && !holds_for?(step.definition.condition)
        step.state = step.definition.unmet == "fail" ? "error" : "skipped"
        return if step.state == "skipped"

        step.own_error = Json.new({ "message" => "its condition does not hold" })
        step.last_failure_at = now
      elsif step.definition.signal
        start_wait(step, base)
      elsif step.definition.run_at && @at.nil?
        step.state = "error"
        step.own_error = Json.new({ "message" => context.value.key?("at") ? %(run_at leads to no date and time: "#{context.value["at"]}") : "run_at leads to nothing" })
        step.last_failure_at = now
      else
        step.not_before = [base + (step.definition.delay || 0), (@at if step.definition.run_at)].compact.max
        start_map(step, now) if step.map?
        start_task(step, now) if step.definition.workflow
      end
    end

    # ---- waits ---------------------------------------------------------------

    def start_wait(step, base)
      taken = kept.index { |name, _| name == step.definition.signal[:name] }
      timeout = step.definition.signal[:timeout]
      return step.wait = Wait.new(deadline: (base + timeout if timeout)) if taken.nil?

      step.state = "complete"
      step.results = kept.delete_at(taken).last
    end

    def end_wait(step, state, results, now)
      step.wait = nil
      step.state = state
      step.results = results
      step.last_failure_at = now if state == "error"
      self.state = "in_progress" if self.state == "pending"
      settle(now)
    end

    def holds_for?(condition)
      found = if condition[:of] == "context" then context.value.fetch("order") { return condition[:op] == "missing" }
              else steps.fetch(condition[:of]).results || (return condition[:op] == "missing")
              end
      found = found.value if found.is_a?(Json)
      case condition[:op]
      when ">" then found > condition[:value]
      when "exists" then true
      when "missing" then false
      when "=" then found == condition[:value] && found.class == condition[:value].class
      end
    end

    def holds?(step, token) = !step.claim.nil? && step.claim.token == token

    def lose_attempt(step, now)
      step.attempts += 1
      step.last_failure_at = now
    end

    def end_attempt(step, token, to, next_retry_at = nil)
      step.attempts += 1
      step.state = to
      step.claim = nil
      step.outcomes[token] = Outcome.new(state: to, next_retry_at: next_retry_at)
    end

    def reopen(step, attempts = 0)
      step.placed = false if step.ended?
      step.again = true
      step.aside = nil
      step.state = "pending"
      step.attempts = attempts
      step.claim = nil
      step.wait = nil
      step.checkpoint = nil
      step.not_before = nil
    end

    # With fail_fast the failure of one step calls off all the others that have not ended, until
    # the task is resumed.
    def final_failure(step)
      return unless step.blocks? && template.fail_fast

      @orphans = steps.values.select(&:as_task?)
      @failed_fast = true
      steps.each_value do |other|
        next if other.ended?

        reopen(other, other.attempts)
        other.state = "cancelled"
        other.called_off = true
        other.placed = false
        other.begins_at = nil
      end
    end

    def call_back
      steps.each_value do |step|
        step.state = "pending" if step.called_off && state == "error"
        step.called_off = false
      end
    end

    def settle(now) = progress(now).tap { tell }

    def close
      states = nodes.map(&:state)
      self.state = if steps.values.any?(&:blocks?) then "error"
                   elsif states.include?("cancelled") && (states - %w[cancelled skipped]).empty? then "cancelled"
                   else "complete"
                   end
      leave_open if state == "error"
      @over = true
    end

    # A map waits for those that failed; what a template that fails fast did not come to, counts as called off.
    def leave_open
      steps.each_value do |step|
        step.begins_at = nil
        step.state = "pending" if step.maps?
        next if step.ended? || !template.fail_fast

        step.state = "cancelled"
        step.called_off = true
      end
    end

    def end_by_hand(to)
      return false if state == to
      raise Refused, "TC012" if final?

      steps.each_value do |step|
        next if step.ended?

        step.state = "cancelled"
        step.claim = nil
        step.wait = nil
      end
      self.state = to
      family&.disown(steps.values)
      family&.ended(self)
      true
    end
  end
end
