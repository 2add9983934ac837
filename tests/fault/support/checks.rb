# frozen_string_literal: true

module Fault
  # Prints TAP.
  class Report
    def initialize
      @passed = @failed = 0
    end

    def check(name, findings)
      findings.empty? ? @passed += 1 : @failed += 1
      puts "#{"not " unless findings.empty?}ok #{@passed + @failed} - #{name}"
      findings.first(10).each { |finding| puts "#   #{finding}" }
      puts "#   ... #{findings.size} in all" if findings.size > 10
    end

    def skip(name, reason) = puts("ok #{@passed += 1} - #{name} # SKIP #{reason}")

    # @return [Boolean] whether all is well
    def finish
      puts "1..#{@passed + @failed}"
      @failed.zero? && @passed.positive?
    end
  end

  # What must hold after any fault: findings of what does not.
  class Checks
    def initialize(connection, ledger)
      @connection = connection
      @ledger = ledger
    end

    # @return [Hash{String => Array<String>}] what is checked => what is wrong
    def all
      {
        "nothing but the fault went wrong" => @ledger.surprises,
        "every acknowledged result is stored once" => lost_results,
        "every acknowledged task is there, once" => lost_tasks,
        "results and the application's writes belong together" => parted_effects,
        "every task ended" => unended,
        "a reader of events missed none and heard none twice" => misheard,
        "verify_all() finds nothing" => lines("SELECT * FROM tasker.verify_all(NULL)")
      }
    end

    private

    def lines(sql, *values) = @connection.exec_params(sql, values).each_row.map { |row| row.join(" ") }
    def array(values) = "{#{values.map { |value| value || "NULL" }.join(",")}}"

    def lost_results
      ids, tokens, values = @ledger.results.uniq.transpose
      lines(<<~SQL, *[ids, tokens, values].map { |list| array(list || []) })
        SELECT 'step', i.step_id, 'by claim', i.token, 'is stored', count(a.task_id), 'times'
        FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS i (step_id, token, value)
        LEFT JOIN tasker.step_attempts a ON a.task_id = i.step_id / 1000000 AND a.step_no = i.step_id % 1000000
          AND a.outcome = 'completed' AND a.claim_token = coalesce(i.token, a.claim_token) AND a.results = to_jsonb(i.value)
        GROUP BY i.step_id, i.token, i.value HAVING count(a.task_id) <> 1
        UNION ALL
        SELECT 'step', task_id * 1000000 + step_no, NULL, NULL, 'was completed', count(*), 'times'
        FROM tasker.step_attempts WHERE outcome = 'completed' GROUP BY task_id, step_no HAVING count(*) > 1
      SQL
    end

    def lost_tasks
      keys = "{#{@ledger.tasks.keys.map { |key| "\"#{key}\"" }.join(",")}}"
      lines(<<~SQL, keys, array(@ledger.tasks.values))
        SELECT 'key', i.key, 'stands for task', i.task_id, 'but is stored', count(t.task_id), 'times'
        FROM unnest($1::text[], $2::bigint[]) AS i (key, task_id)
        LEFT JOIN tasker.tasks t ON t.task_id = i.task_id AND t.idempotency_key = i.key
        GROUP BY i.key, i.task_id HAVING count(t.task_id) <> 1
        UNION ALL
        SELECT 'key', key, NULL, NULL, 'was booked', count(*), 'times' FROM orders GROUP BY key HAVING count(*) <> 1
        UNION ALL
        SELECT 'task', coalesce(o.key, t.idempotency_key), 'of task', coalesce(t.task_id, o.task_id), 'stands alone', NULL, NULL
        FROM orders o FULL JOIN tasker.tasks t USING (task_id) WHERE o.task_id IS NULL OR t.task_id IS NULL
      SQL
    end

    def parted_effects
      lines(<<~SQL)
        SELECT 'step', coalesce(e.step_id, a.step_id), CASE WHEN e.step_id IS NULL THEN 'completed without its effect' ELSE 'effect without completion' END
        FROM effects e FULL JOIN (SELECT task_id * 1000000 + step_no AS step_id, claim_token, results FROM tasker.step_attempts WHERE outcome = 'completed') a
          ON a.step_id = e.step_id AND a.claim_token = coalesce(e.claim_token, a.claim_token) AND a.results = to_jsonb(e.value)
        WHERE e.step_id IS NULL OR a.step_id IS NULL
        UNION ALL
        SELECT 'step', step_id, 'took effect ' || count(*) || ' times' FROM effects GROUP BY step_id HAVING count(*) > 1
      SQL
    end

    # Whoever begins now reads what the reader has read, and the reader goes on with what is left.
    def misheard
      settle
      all = read(nil)
      heard = @ledger.events
      return ["event #{heard.size} of #{heard.size} and #{all.size}: #{difference(heard, all)}"] if all.first(heard.size) != heard

      read(heard.last&.first) == all.drop(heard.size) ? [] : ["after #{heard.last} it would hear something else than #{all.drop(heard.size).first(3)}"]
    end

    def difference(heard, all)
      heard.zip(all).find { |one, other| one != other }
    end

    # Until nothing that runs holds events back.
    def settle
      target = @connection.exec("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint").getvalue(0, 0).to_i
      Fault.wait_until("events are not held back") { @connection.exec("SELECT xmin::text::bigint FROM tasker.events_lag()").getvalue(0, 0).to_i >= target }
    end

    def read(cursor)
      events = []
      loop do
        more = @connection.exec_params(EventReader::EVENTS, [cursor]).values
        return events if more.empty?

        events.concat(more)
        cursor = more.last.first
      end
    end

    # Tasks that were changed by hand may end otherwise than by being complete.
    def unended
      lines(<<~SQL)
        SELECT 'task', task_id, name, state FROM tasker.tasks JOIN tasker.named_tasks USING (named_task_id)
        WHERE NOT (state = 'complete' OR name = 'changed' AND state IN ('error', 'cancelled', 'resolved_manually'))
        UNION ALL
        SELECT 'queue row of task', q.task_id, q.step_no::text, q.phase::text FROM tasker.step_queue q JOIN tasker.tasks t USING (task_id)
        WHERE t.state IN ('complete', 'cancelled', 'resolved_manually')
      SQL
    end
  end
end
