# frozen_string_literal: true

module Race
  # Works off what is left, then checks what must hold whatever happened.
  class Checks
    DRAIN_LIMIT = 60 # seconds; leases and retries of the hunt last half a second at most

    def initialize(connection, namespace, ledger, random)
      @connection = connection
      @namespace = namespace
      @ledger = ledger
      @random = random
      @passed = @failed = 0
    end

    # @return [Boolean] whether all is well
    def report
      describe_load
      drain
      check("no deadlock", @ledger.deadlocks)
      check("no unexpected error", @ledger.surprises)
      check("every verb had its way", idle_verbs)
      check("every task ended, and left nothing in the queue", unended)
      check("every acknowledged completion is stored exactly once", lost_completions)
      check("nothing is stored of a claim that was rolled back", ghosts)
      check("each idempotency key made one task", split_keys)
      check("every acknowledged signal is kept once, and no other", lost_signals)
      check("a signal is taken by one step, and is its result", misused_signals)
      check("a task that ended is a step that ended, and says so", misled_parents)
      check("verify_all() finds nothing", violations)
      puts "1..#{@passed + @failed}", "#{@passed} passed, #{@failed} failed"
      @failed.zero?
    end

    private

    def check(name, findings)
      findings.empty? ? @passed += 1 : @failed += 1
      puts "#{"not " unless findings.empty?}ok #{@passed + @failed} - #{name}"
      findings.first(10).each { |finding| puts "#   #{finding}" }
      puts "#   ... #{findings.size} in all" if findings.size > 10
    end

    def describe_load
      puts "# committed: #{counts(@ledger.done)}"
      puts "# refused: #{counts(@ledger.expected)}"
    end

    def counts(hash) = hash.sort.map { |key, count| "#{key} #{count}" }.join(", ")

    def query(sql, *values) = @connection.exec_params(sql, values)
    def lines(sql, *values) = query(sql, *values).each_row.map { |row| row.join(" ") }
    def array(values) = "{#{values.join(",")}}"

    TASKS = "tasker.tasks t JOIN tasker.named_tasks n USING (named_task_id) " \
            "JOIN tasker.task_namespaces s USING (namespace_id) WHERE s.name = $1"
    OPEN = "t.state IN ('pending', 'in_progress')"

    def drain
      Templates::NAMES.each { |name| query("SELECT tasker.resume_template($1, $2)", name, @namespace) }
      query("SELECT tasker.resume_task(t.task_id) FROM #{TASKS} AND #{OPEN} AND t.paused_at IS NOT NULL", @namespace)
      deadline = Race.now + DRAIN_LIMIT
      while Race.now < deadline && query("SELECT FROM #{TASKS} AND #{OPEN} LIMIT 1", @namespace).ntuples.positive?
        complete(query("SELECT * FROM tasker.claim_steps('drain', 100, array[$1])", @namespace).to_a)
      end
    rescue PG::Error => error
      @ledger.surprises << "drain: #{error.message.tr("\n", " ")}"
    end

    def complete(claims)
      return sleep(0.02) if claims.empty?

      ids, tokens = claims.map { |claim| claim.values_at("workflow_step_id", "claim_token") }.transpose
      rows = query("SELECT * FROM tasker.complete_steps($1, $2, $3)", array(ids), array(tokens), Session::ARRAY_OF_TEXT.encode(ids.map { Templates.result(@random) }))
      @ledger.surprises.concat(rows.reject { |row| row["status"] == "completed" }.map { |row| "drain: #{row}" })
      @ledger.completed.concat(ids.zip(tokens))
    end

    # ---- findings: what is wrong, nothing when all is well

    # A hunt that did not hunt proves nothing.
    def idle_verbs
      (Session::WEIGHTS.keys - @ledger.done.keys).map { |verb| "#{verb} never succeeded: run longer" }
    end

    def unended
      lines("SELECT 'task', t.task_id, t.state FROM #{TASKS} AND #{OPEN}", @namespace) +
        lines("SELECT 'errand', e.kind, e.task_id, e.step_no, e.child_task_id FROM tasker.errands e " \
              "WHERE e.task_id IN (SELECT t.task_id FROM #{TASKS})", @namespace) +
        lines("SELECT 'step', q.task_id, q.step_no, q.phase FROM tasker.step_queue q " \
              "WHERE q.task_id IN (SELECT t.task_id FROM #{TASKS})", @namespace)
    end

    def lost_completions
      ids, tokens = @ledger.completed.uniq.transpose
      lines("SELECT 'step', i.step_id, 'is stored', count(a.task_id), 'times' " \
            "FROM unnest($1::bigint[], $2::bigint[]) AS i(step_id, token) " \
            "LEFT JOIN tasker.step_attempts a ON a.task_id = i.step_id / 1000000 AND a.step_no = i.step_id % 1000000 " \
            "AND a.claim_token = i.token AND a.outcome = 'completed' " \
            "GROUP BY i.step_id, i.token HAVING count(a.task_id) <> 1", array(ids || []), array(tokens || []))
    end

    def ghosts
      lines("SELECT 'step', a.task_id, a.step_no, a.outcome FROM tasker.step_attempts a " \
            "WHERE a.task_id IN (SELECT t.task_id FROM #{TASKS}) AND a.claim_token = ANY ($2::bigint[])",
            @namespace, array(@ledger.ghosts))
    end

    def split_keys
      made = @ledger.keys.select { |_, answers| answers.map(&:first).uniq.size > 1 || answers.count(&:last) > 1 }
      lines("SELECT 'stored twice:', t.idempotency_key FROM #{TASKS} AND t.idempotency_key IS NOT NULL GROUP BY t.idempotency_key HAVING count(*) > 1",
            @namespace) + made.map { |key, answers| "#{key}: #{answers}" }
    end

    def lost_signals
      tasks, payloads, taken = @ledger.signals.transpose.map { |column| array(column) }
      lines("SELECT 'signal', coalesce(i.payload, (s.payload::text)::bigint), 'of task', coalesce(i.task_id, s.task_id), " \
            "'sent', i.task_id IS NOT NULL, 'stored', s.task_id IS NOT NULL, 'taken', s.step_no IS NOT NULL " \
            "FROM unnest($2::bigint[], $3::bigint[], $4::bool[]) AS i(task_id, payload, taken) " \
            "FULL JOIN (SELECT g.* FROM tasker.signals g WHERE g.task_id IN (SELECT t.task_id FROM #{TASKS})) s " \
            "ON s.task_id = i.task_id AND (s.payload::text)::bigint = i.payload " \
            "WHERE i.task_id IS NULL OR s.task_id IS NULL OR i.taken AND s.step_no IS NULL " \
            "OR (SELECT count(*) FROM tasker.signals g WHERE g.task_id = i.task_id AND g.payload = to_jsonb(i.payload)) <> 1",
            @namespace, tasks || "{}", payloads || "{}", taken || "{}")
    end

    def misused_signals
      lines("SELECT 'signal', payload, 'of step', g.step_no, 'of task', g.task_id, 'ended', count(m.task_id), 'waits' " \
            "FROM tasker.signals g LEFT JOIN tasker.step_moves m ON (m.task_id, m.step_no, m.verb, m.results) = (g.task_id, g.step_no, 'signal', g.payload) " \
            "WHERE g.task_id IN (SELECT t.task_id FROM #{TASKS}) GROUP BY g.signal_id, payload, g.step_no, g.task_id " \
            "HAVING count(m.task_id) <> (g.step_no IS NOT NULL)::int", @namespace) +
        lines("SELECT 'step', m.step_no, 'of task', m.task_id, 'went on with', m.results, 'of no signal' FROM tasker.step_moves m " \
              "WHERE m.verb = 'signal' AND m.task_id IN (SELECT t.task_id FROM #{TASKS}) AND NOT EXISTS " \
              "(SELECT FROM tasker.signals g WHERE (g.task_id, g.step_no, g.payload) = (m.task_id, m.step_no, m.results))", @namespace)
    end

    # The newest task of a step and the step: both ended, and alike; or nobody waits for it any more.
    def misled_parents
      lines("SELECT 'step', s.workflow_step_id, s.state, 'runs as task', c.task_id, c.state, s.results ->> 'task_id' FROM " \
            "(SELECT DISTINCT ON (t.parent_step_id) t.parent_step_id, t.task_id, t.state FROM #{TASKS} AND t.parent_step_id IS NOT NULL " \
            "ORDER BY t.parent_step_id, t.task_id DESC) c JOIN tasker.workflow_steps s ON s.workflow_step_id = c.parent_step_id " \
            "WHERE s.task_id = c.parent_step_id / 1000000 AND (s.state = 'complete' AND (c.state NOT IN ('complete', 'resolved_manually') " \
            "OR (s.results ->> 'task_id')::bigint IS DISTINCT FROM c.task_id) OR s.state = 'in_progress')", @namespace)
    end

    def violations = lines("SELECT * FROM tasker.verify_all(NULL)")
  end
end
