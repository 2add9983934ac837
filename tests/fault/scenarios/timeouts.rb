# frozen_string_literal: true

module Fault
  # Each table is locked in turn, so that every verb is interrupted at every place where it can wait.
  # Interrupted, a verb changes nothing; called again, it does its work.
  class TimeoutsInEveryVerb < Scenario
    description "statement_timeout and lock_timeout strike in every verb, at each of its tables"
    TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'tasker'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1"
    TIMEOUTS = { "statement_timeout" => "57014", "lock_timeout" => "55P03" }.freeze

    # verb => how to get there, and the call; $task, $step and $token stand for a task of its own
    VERBS = {
      create_task: [[], "SELECT FROM tasker.create_task('chain', namespace => 'fault', idempotency_key => 'timeout $task')"],
      create_tasks: [[], %q(SELECT FROM tasker.create_tasks('[{"name": "chain", "namespace": "fault"}]'))],
      claim_steps: [[], "SELECT FROM tasker.claim_steps('w', 1, task_id => $task)"],
      complete_step: [[:claim], "SELECT FROM tasker.complete_step($step, $token, '1')"],
      complete_steps: [[:claim], "SELECT FROM tasker.complete_steps('{$step}', '{$token}', '{1}')"],
      complete_and_claim: [[:claim], "SELECT FROM tasker.complete_and_claim('{$step}', '{$token}', '{1}', 'w', 1)"],
      fail_step: [[:claim], "SELECT FROM tasker.fail_step($step, $token, '{}', false)"],
      heartbeat: [[:claim], "SELECT FROM tasker.heartbeat('w', '{$step}', '{$token}')"],
      release_steps: [[:claim], "SELECT tasker.release_steps('{$step}', '{$token}')"],
      checkpoint_step: [[:claim], "SELECT tasker.checkpoint_step($step, $token, '7')"],
      expire: [%i[claim expire], "SELECT FROM tasker.claim_steps('thief', 1, task_id => $task)"],
      cancel_task: [[:claim], "SELECT tasker.cancel_task($task)"],
      pause_task: [[:claim], "SELECT tasker.pause_task($task)"],
      resume_task: [[:pause], "SELECT tasker.resume_task($task)"],
      retry_task: [%i[claim fail], "SELECT tasker.retry_task($task)"],
      reset_step: [%i[claim fail], "SELECT FROM tasker.reset_step($step)"],
      resolve_step: [[:claim], "SELECT FROM tasker.resolve_step($step, '7')"],
      skip_step: [[:claim], "SELECT FROM tasker.skip_step($step)"],
      transition_task: [%i[claim], "SELECT tasker.transition_task($task, 'resolved_manually')"],
      transition_step: [%i[claim], "SELECT tasker.transition_step($step, 'pending')"],
      run_maintenance: [%i[claim], "SELECT tasker.run_maintenance()"],
      publish_event: [[], "SELECT tasker.publish_event('fault.timeout')"]
    }.freeze
    PREPARATIONS = { fail: "SELECT FROM tasker.fail_step($step, $token, '{}', false)", pause: "SELECT tasker.pause_task($task)" }.freeze

    def run
      @cluster = lab.cluster(fsync: "off")
      @client, @blocker = @cluster.admin, @cluster.admin
      @tables = @client.exec(TABLES).column_values(0)
      struck = VERBS.to_h { |verb, _| [verb, Hash.new { |hits, setting| hits[setting] = [] }] }
      faults = VERBS.flat_map { |verb, _| TIMEOUTS.flat_map { |setting, state| strike_everywhere(verb, setting, state, struck[verb]) } }
      check("an interrupted verb changes nothing, and works when it is called again", faults)
      check("every verb was interrupted by both", struck.flat_map { |verb, hits| TIMEOUTS.keys.select { |setting| hits[setting].empty? }.map { |setting| "#{setting} never struck in #{verb}" } })
      puts "# timeouts_in_every_verb: #{struck.values.flat_map(&:values).sum(&:size)} interruptions"
      check("verify_all() finds nothing", @client.exec("SELECT * FROM tasker.verify_all(NULL)").map { |row| row.values.join(" ") })
    ensure
      [@client, @blocker].each { |pg| pg&.close }
    end

    private

    # @return [Array<String>] what was wrong
    def strike_everywhere(verb, setting, state, hits)
      prepare(verb)
      tables = hits.empty? ? @tables : hits.values.first # where it waits is known by then
      before = snapshot
      faults = tables.filter_map { |table| strike(verb, table, setting, state, hits[setting]) || trace(verb, table, before, hits[setting]) }
      @client.exec(call(VERBS[verb].last))
      faults
    rescue PG::Error => error
      [*faults, "#{verb} after #{setting}: #{error.message.tr("\n", " ")}"]
    end

    def strike(verb, table, setting, state, hits)
      @blocker.exec("BEGIN; LOCK TABLE tasker.#{table} IN ACCESS EXCLUSIVE MODE")
      @client.exec("BEGIN; SET LOCAL #{setting} = '30ms'")
      said = interrupted_by { @client.exec(call(VERBS[verb].last)) }
      @client.exec("ROLLBACK")
      @blocker.exec("ROLLBACK")
      hits << table if said == state
      "#{verb}: #{said} instead of #{state} while #{table} was locked" unless [nil, state].include?(said)
    end

    def trace(verb, table, before, hits)
      "#{verb}: interrupted at #{table}, it left a trace" if hits.last == table && snapshot != before
    end

    def interrupted_by
      yield
      nil
    rescue PG::Error => error
      error.result&.error_field(PG::Result::PG_DIAG_SQLSTATE) || error.message
    end

    def prepare(verb)
      @client.exec("RESET tasker_core.clock_offset")
      @task = @client.exec("SELECT task_id FROM tasker.create_task('chain', namespace => 'fault')").getvalue(0, 0)
      @step = "#{@task}000001"
      @token = 0
      VERBS[verb].first.each { |preparation| prepare_by(preparation) }
    end

    def prepare_by(preparation)
      case preparation
      when :claim then @token = @client.exec("SELECT claim_token FROM tasker.claim_steps('w', 1, task_id => #{@task})").getvalue(0, 0)
      when :expire then @client.exec("SET tasker_core.clock_offset = 3600")
      else @client.exec(call(PREPARATIONS.fetch(preparation)))
      end
    end

    def call(sql) = sql.gsub("$task", @task).gsub("$step", @step).gsub("$token", @token.to_s)

    # Everything there is, but for when a worker was last seen.
    def snapshot
      @everything ||= (@tables - %w[workers]).map { |table| "SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM tasker.#{table} t" }.join(" UNION ALL ")
                                             .tap { |sql| @client.prepare("everything", sql) }
      @client.exec_prepared("everything").column_values(0)
    end
  end
end
