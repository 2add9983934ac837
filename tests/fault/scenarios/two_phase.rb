# frozen_string_literal: true

module Fault
  class TwoPhaseCommit < Scenario
    description "PREPARE TRANSACTION with notifications off, crashed over and committed; refused with them on"

    def run
      @cluster = lab.cluster(max_prepared_transactions: 10)
      prepared = prepare_everything
      check("with notifications on it is refused, and changes nothing", refused)
      @cluster.restart_after("immediate")
      @pg = @cluster.admin
      check("what is prepared is kept from others, across a crash", kept)
      prepared.each { |name, ending| @pg.exec("#{ending} PREPARED '#{name}'") }
      check("committed it is there, rolled back it is not", outcome)
      work_off
      check("every task ended", states("state <> 'complete'").map { |row| row.values.join(" ") })
      check("verify_all() finds nothing", @pg.exec("SELECT * FROM tasker.verify_all(NULL)").map { |row| row.values.join(" ") })
    ensure
      @pg&.close
    end

    private

    def create(pg, key) = pg.exec_params("SELECT task_id FROM tasker.create_task('chain', namespace => 'fault', idempotency_key => $1)", [key]).getvalue(0, 0)
    def claim(pg, task) = pg.exec_params("SELECT workflow_step_id, claim_token FROM tasker.claim_steps('two phase', 1, task_id => $1, lease_seconds => 600)", [task]).first.values

    # Creations and completions, one of each to be committed and one to be rolled back.
    def prepare_everything
      @pg = @cluster.admin
      @completed, @undone = Array.new(2) { |n| claim(@pg, create(@pg, "held #{n}")) }
      { "created" => "COMMIT", "uncreated" => "ROLLBACK" }.each_key { |name| prepare(name) { create(@pg, name) } }
      { "completed" => @completed, "undone" => @undone }.each { |name, step| prepare(name) { complete(step) } }
      { "created" => "COMMIT", "uncreated" => "ROLLBACK", "completed" => "COMMIT", "undone" => "ROLLBACK" }
    end

    def prepare(name)
      @pg.exec("BEGIN; SET LOCAL tasker_core.notify = off")
      yield
      @pg.exec("PREPARE TRANSACTION '#{name}'")
    end

    def complete(step) = @pg.exec_params("SELECT FROM tasker.complete_step($1, $2, '1')", step)

    def refused
      @pg.exec("BEGIN")
      create(@pg, "refused")
      @pg.exec("PREPARE TRANSACTION 'refused'")
      ["it was not refused"]
    rescue PG::FeatureNotSupported => error
      @pg.exec("ROLLBACK")
      error.message.include?("NOTIFY") && states("idempotency_key = 'refused'").ntuples.zero? ? [] : [error.message]
    end

    def kept
      others = @pg.exec("SELECT workflow_step_id FROM tasker.claim_steps('other', 10)").ntuples
      heard = @pg.exec("SELECT idempotency_key FROM tasker.tasks ORDER BY 1").column_values(0)
      [("#{others} steps were claimed" if others.positive?), ("there are #{heard}" if heard != ["held 0", "held 1"])].compact
    end

    def outcome
      there = @pg.exec("SELECT idempotency_key FROM tasker.tasks ORDER BY 1").column_values(0)
      done = @pg.exec("SELECT task_id * 1000000 + step_no FROM tasker.step_attempts").column_values(0)
      [("there are #{there}" if there != ["created", "held 0", "held 1"]), ("completed are #{done}, not #{@completed.first}" if done != [@completed.first])].compact
    end

    # The claim whose completion was rolled back still holds.
    def work_off
      complete(@undone)
      loop do
        claims = @pg.exec("SELECT workflow_step_id, claim_token FROM tasker.claim_steps('two phase', 10)").map(&:values)
        break if claims.empty?

        claims.each { |step| complete(step) }
      end
    end

    def states(condition) = @pg.exec("SELECT task_id, state FROM tasker.tasks WHERE #{condition}")
  end
end
