# frozen_string_literal: true

module Race
  # One connection that does everything a worker, a producer or an operator may do. Each verb
  # returns what to write into the ledger once the transaction has committed, if anything, or
  # :idle where there was nothing to do it to.
  class Session
    WEIGHTS = {
      create: 7, create_bulk: 3, claim: 24, complete: 14, complete_batch: 14, complete_and_claim: 8,
      fail_for_now: 6, fail_for_good: 2, heartbeat: 6, release: 4, checkpoint: 3,
      signal: 8, cancel: 1, pause: 1, resume: 4, retry: 3, reset: 2, resolve: 1, skip: 1, pause_template: 1, resume_template: 4
    }.freeze
    VERBS = WEIGHTS.flat_map { |verb, weight| [verb] * weight }.freeze

    ROLLED_BACK = 0.1
    STEPS = 8           # of the larger templates, the first ones
    LONGEST_PAUSE = 0.004 # before the transaction ends, so that others run into it

    # What the loser of a race is told: a worker that its claim is lost, an operator that the move
    # is illegal or too late, or that the task has not so many steps; a sender of signals that the
    # task is over, or of a template that waits for none.
    REFUSALS = Hash.new(%w[TC011]).merge!(
      %i[create create_bulk claim pause_template resume_template].to_h { |verb| [verb, []] },
      %i[cancel pause resume retry].to_h { |verb| [verb, %w[TC012]] },
      { signal: %w[TC012 22023] }
    ).merge!(
      %i[reset resolve skip].to_h { |verb| [verb, %w[TC003 TC010 TC012]] }
    ).freeze
    DEADLOCK = "40P01"
    ARRAY_OF_TEXT = PG::TextEncoder::Array.new

    def initialize(connection, namespace, number, ledger, random)
      @connection = connection
      @namespace = namespace
      @worker = "racer #{number}"
      @ledger = ledger
      @random = random
    end

    def run(deadline)
      transaction(VERBS.sample(random: @random)) while Race.now < deadline
    ensure
      @connection.close
    end

    private

    def transaction(verb)
      @connection.exec("BEGIN")
      effect = send(verb)
      return @connection.exec("ROLLBACK") if effect == :idle

      sleep(@random.rand * LONGEST_PAUSE)
      if @random.rand < ROLLED_BACK
        @connection.exec("ROLLBACK")
        @ledger.update { @ledger.ghosts.concat(@drawn) } if @drawn
      else
        @connection.exec("COMMIT")
        @ledger.update { @ledger.done[verb] += 1; effect&.call(@ledger) }
      end
    rescue PG::Error => error
      @connection.exec("ROLLBACK")
      note(verb, error)
    ensure
      @drawn = nil
    end

    def note(verb, error)
      state = error.result&.error_field(PG::Result::PG_DIAG_SQLSTATE)
      @ledger.update do
        if state == DEADLOCK then @ledger.deadlocks << "#{verb}: #{error.message.tr("\n", " ")}"
        elsif REFUSALS[verb].include?(state) then @ledger.expected["#{verb} #{state}"] += 1
        else @ledger.surprises << "#{verb}: #{state} #{error.message.tr("\n", " ")}"
        end
      end
    end

    def query(sql, *values) = @connection.exec_params(sql, values)
    def array(values) = "{#{values.join(",")}}"

    # ---- producers

    def create
      key = @ledger.next_key
      row = query("SELECT * FROM tasker.create_task($1, namespace => $2, idempotency_key => $3, priority => $4)",
                  template_of(key), @namespace, key, @random.rand(3)).first
      ->(ledger) { ledger.created(key, row["task_id"], row["created"] == "t") }
    end

    # A few keys in any order, some of them taken.
    def create_bulk
      keys = Array.new(3) { @ledger.next_key }.uniq.shuffle(random: @random)
      requests = keys.map { |key| { "name" => template_of(key), "namespace" => @namespace, "idempotency_key" => key } }
      rows = query("SELECT * FROM tasker.create_tasks($1)", JSON.generate(requests)).to_a
      lambda do |ledger|
        rows.each { |row| ledger.created(keys[row["ordinal"].to_i - 1], row["task_id"], row["created"] == "t") }
      end
    end

    # Keys are per template, so one key has to ask for one template always.
    def template_of(key) = Templates::NAMES[key[/\d+/].to_i % Templates::NAMES.size]

    # ---- workers

    def claim
      task = @random.rand < 0.3 ? @ledger.task(@random) : nil
      keep_claims(query("SELECT * FROM tasker.claim_steps($1, $2, array[$3], $4, $5)",
                        @worker, 1 + @random.rand(4), @namespace, lease, task))
    end

    def lease = 0.1 + (@random.rand * 0.4)

    def keep_claims(rows)
      claims = rows.reject { |row| row["claim_token"].nil? }
                   .map { |row| Claim.new(row["workflow_step_id"], row["task_id"], row["claim_token"]) }
      @drawn = claims.map(&:token)
      ->(ledger) { ledger.claimed(claims) }
    end

    # Any claim that somebody has told of: this connection's or another's, live or long lost.
    def held(most = 1)
      claims = @ledger.claims(@random, most).uniq(&:step_id)
      claims.empty? ? :idle : yield(claims)
    end

    def complete
      held do |(claim)|
        query("SELECT * FROM tasker.complete_step($1, $2, $3)", claim.step_id, claim.token, result)
        ->(ledger) { ledger.completed << [claim.step_id, claim.token] }
      end
    end

    def complete_batch
      held(6) do |claims|
        rows = query("SELECT * FROM tasker.complete_steps($1, $2, $3)", *columns(claims), results(claims)).to_a
        completed = rows.select { |row| row["status"] =~ /completed/ }.map { |row| row["workflow_step_id"] }
        acknowledge(claims.select { |claim| completed.include?(claim.step_id) })
      end
    end

    def complete_and_claim
      held(3) do |claims|
        rows = query("SELECT * FROM tasker.complete_and_claim($1, $2, $3, $4, 3, array[$5], $6)",
                     *columns(claims), results(claims), @worker, @namespace, lease).to_a
        refused = rows.map { |row| row["completed_step_id"] unless row["status"] == "already_completed" }.compact
        keep = keep_claims(rows)
        done = acknowledge(claims.reject { |claim| refused.include?(claim.step_id) })
        ->(ledger) { [keep, done].each { |effect| effect.call(ledger) } }
      end
    end

    def acknowledge(claims)
      ->(ledger) { ledger.completed.concat(claims.map { |claim| [claim.step_id, claim.token] }) }
    end

    def result = Templates.result(@random)
    def results(claims) = ARRAY_OF_TEXT.encode(claims.map { result })
    def columns(claims) = [array(claims.map(&:step_id)), array(claims.map(&:token))]

    def fail_for_now
      held do |(claim)|
        query("SELECT FROM tasker.fail_step($1, $2, '{}', retry_after_seconds => $3)",
              claim.step_id, claim.token, [nil, 0, 0.02].sample(random: @random))
        nil
      end
    end

    def fail_for_good
      held do |(claim)|
        query("SELECT FROM tasker.fail_step($1, $2, '{}', retryable => false)", claim.step_id, claim.token)
        nil
      end
    end

    def heartbeat
      held(6) { |claims| query("SELECT FROM tasker.heartbeat($1, $2, $3, $4)", @worker, *columns(claims), lease) && nil }
    end

    def release
      held(3) { |claims| query("SELECT tasker.release_steps($1, $2, $3)", *columns(claims), [0, 0.02].sample(random: @random)) && nil }
    end

    def checkpoint
      held do |(claim)|
        query("SELECT tasker.checkpoint_step($1, $2, '5', $3)", claim.step_id, claim.token, @random.rand < 0.5)
        nil
      end
    end

    # ---- senders of signals

    # Each with a payload of its own, so that one taken twice would show.
    def signal
      task = @ledger.task(@random) or return :idle
      payload = @ledger.next_signal
      taken = query("SELECT tasker.send_signal($1, $2, $3)", task, Templates::SIGNAL, payload).getvalue(0, 0) == "t"
      ->(ledger) { ledger.signals << [task, payload, taken] }
    end

    # ---- operators

    { cancel: "cancel_task", pause: "pause_task", resume: "resume_task", retry: "retry_task" }.each do |verb, function|
      define_method(verb) do
        task = any_task or return :idle
        query("SELECT tasker.#{function}($1)", task)
        nil
      end
    end

    { reset: "reset_step", skip: "skip_step" }.each do |verb, function|
      define_method(verb) do
        step = any_step or return :idle
        query("SELECT FROM tasker.#{function}($1)", step)
        nil
      end
    end

    def resolve
      step = any_step or return :idle
      query("SELECT FROM tasker.resolve_step($1, $2)", step, result)
      nil
    end

    %i[pause_template resume_template].each do |verb|
      define_method(verb) { query("SELECT tasker.#{verb}($1, $2)", Templates::FIXED.sample(random: @random), @namespace) && nil }
    end

    # Now and then one that runs for a step of it.
    def any_task
      task = @ledger.task(@random)
      return task if task.nil? || @random.rand < 0.6

      query("SELECT task_id FROM tasker.tasks WHERE parent_step_id BETWEEN $1::bigint * 1000000 AND $1::bigint * 1000000 + 999999 ORDER BY task_id DESC LIMIT 1",
            task).first&.fetch("task_id") || task
    end

    def any_step = any_task&.then { |task| (task.to_i * 1_000_000) + 1 + @random.rand(STEPS) }
  end
end
