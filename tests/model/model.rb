# frozen_string_literal: true

require_relative "moment"

module ModelTest
  # What the contract says about one task, written down as plainly as possible: a state a step,
  # and everything else worked out anew from the states whenever it is asked for. It knows nothing
  # of queues, counters, locks or lanes.
  class Refused < StandardError
    def initialize(sqlstate) = super
    def sqlstate = message
  end

  Definition = Struct.new(:name, :parents, :queue, :priority, :retryable, :max_attempts, :backoff, :base_ms, :cap_ms,
                          :timeout, :on_failure, keyword_init: true)
  Template = Struct.new(:namespace, :name, :version, :steps, :fail_fast, keyword_init: true)
  Claim = Struct.new(:token, :claimed_at, :lease_until, keyword_init: true)
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
    attr_reader :definition, :outcomes
    attr_accessor :state, :attempts, :called_off, :not_before, :claim, :checkpoint, :results, :last_error, :asked,
                  :last_failure_at, :last_attempted_at

    def initialize(definition)
      @definition = definition
      @state = "pending"
      @attempts = 0             # ended since the last reset
      @outcomes = {}            # by the token of the claim that a report ended
    end

    def initialize_copy(other)
      super
      @outcomes = @outcomes.dup
    end

    def name = definition.name
    def done? = %w[complete resolved_manually].include?(state)
    def ended? = done? || %w[error cancelled skipped].include?(state)

    # What it means for its children, and for its task.
    def satisfies? = done? || failed?("continue")
    def skips? = state == "skipped" || failed?("skip")
    def blocks? = failed?("fail")
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

    def failed?(rule) = state == "error" && definition.on_failure == rule

    def fibonacci(number) = number <= 2 ? 1 : fibonacci(number - 1) + fibonacci(number - 2)
  end

  class Task
    attr_reader :template, :priority, :run_at, :steps, :context
    attr_accessor :state, :paused

    # @param now [Moment] of this operation, as everywhere here
    def initialize(template, now, priority: 0, run_at: nil, context: {})
      @template = template
      @priority = priority
      @run_at = run_at
      @context = context
      @state = "pending"
      @paused = false
      @steps = template.steps.to_h { |definition| [definition.name, Step.new(definition)] }
      # due since run_at, also when that has passed: an old appointment goes before a new task
      @steps.each_value { |step| step.not_before = run_at || now if step.definition.parents.empty? }
    end

    def initialize_copy(other)
      super
      @steps = @steps.transform_values(&:dup)
    end

    def final? = FINAL_TASK_STATES.include?(state)
    def parents(step) = step.definition.parents.map { |name| steps.fetch(name) }
    def satisfied?(step) = parents(step).all?(&:satisfies?)
    def step_priority(step) = (priority + step.definition.priority).clamp(-32_768, 32_767)

    # ---- readiness -----------------------------------------------------------

    def ready?(step, now)
      %w[pending waiting_for_retry].include?(step.state) && satisfied?(step) && !paused && !final? &&
        step.not_before <= now
    end

    def lease_expired?(step, now) = step.state == "in_progress" && step.claim.lease_until <= now

    def claimable?(step, now) = ready?(step, now) || (!paused && lease_expired?(step, now) && step.attempts_left?)

    # Since when a claimable step is: what claims of one priority are ordered by.
    def claimable_since(step) = step.claim ? step.claim.lease_until : step.not_before

    # Something in it runs, or will without anybody's doing.
    def can_run? = steps.values.any? { |step| !step.ended? && satisfied?(step) }

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
      step.claim = Claim.new(token: token, claimed_at: now, lease_until: now + lease)
      step.last_attempted_at = now
      self.state = "in_progress"
    end

    # @return [Symbol, Integer] :already_completed, :lease_lost, or how many steps it made ready
    def complete(step, token, results, now)
      unless holds?(step, token)
        return step.outcomes[token]&.state == "complete" ? :already_completed : :lease_lost
      end

      end_attempt(step, token, "complete")
      step.results = results
      settle(now)
    end

    def fail(step, token, error, retryable, retry_after, now)
      return step.outcomes[token] || raise(Refused, "TC011") unless holds?(step, token)

      again = retryable && step.attempts_left?
      delay = retry_after ? [retry_after, MAX_RETRY_AFTER].min : step.backoff(step.attempts + 1)
      next_retry_at = now + delay if again
      end_attempt(step, token, again ? "waiting_for_retry" : "error", next_retry_at)
      step.not_before = next_retry_at
      step.asked = retry_after&.ceil if again
      step.last_error = error
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
      step.claim = Claim.new(token: token, claimed_at: step.claim.claimed_at, lease_until: ends)
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
      true
    end

    # @return [Integer] how many steps are tried again
    def retry(now)
      return 0 unless state == "error"

      call_back
      failed = steps.values.select(&:blocks?)
      failed.each { |step| reopen(step) }
      self.state = "in_progress"
      settle(now)
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

      call_back
      if to == "pending"
        reopen(step)
      else
        step.state = to
        step.claim = nil
        step.results = results
        share_fate if %w[cancelled skipped].include?(to)
      end
      self.state = "in_progress"
      settle(now)
    end

    private

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
      step.state = "pending"
      step.attempts = attempts
      step.claim = nil
      step.checkpoint = nil
      step.not_before = nil
    end

    # A step that can never have all its parents satisfied is skipped, or cancelled, with them.
    # Template steps stand in topological order.
    def share_fate
      steps.each_value do |step|
        next if step.ended?

        step.state = "skipped" if parents(step).any?(&:skips?)
        step.state = "cancelled" if parents(step).any? { |parent| parent.state == "cancelled" }
      end
    end

    # With fail_fast the failure of one step calls off all the others that have not ended, until
    # the task is resumed.
    def final_failure(step)
      share_fate if step.skips?
      return unless step.blocks? && template.fail_fast

      steps.each_value do |other|
        next if other.ended?

        reopen(other, other.attempts)
        other.state = "cancelled"
        other.called_off = true
      end
    end

    def call_back
      steps.each_value do |step|
        step.state = "pending" if step.called_off && state == "error"
        step.called_off = false
      end
    end

    # Marks what has become ready; a task in which nothing can run any more is over.
    def settle(now)
      ready = steps.values.select { |step| !step.ended? && satisfied?(step) && step.not_before.nil? }
      ready.each { |step| step.not_before = [now, run_at].compact.max }
      close unless can_run?
      ready.size
    end

    def close
      states = steps.values.map(&:state)
      self.state = if steps.values.any?(&:blocks?) then "error"
                   elsif states.include?("cancelled") && (states - %w[cancelled skipped]).empty? then "cancelled"
                   else "complete"
                   end
    end

    def end_by_hand(to)
      return false if state == to
      raise Refused, "TC012" if final?

      steps.each_value do |step|
        next if step.ended?

        step.state = "cancelled"
        step.claim = nil
      end
      self.state = to
      true
    end
  end
end
