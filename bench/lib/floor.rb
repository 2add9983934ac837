# frozen_string_literal: true

module Bench
  # The floor: the row writes of our verbs on copies of our tables, one prepared statement a
  # transaction, with no function around them. Rows are copied from one real task, so that they
  # have the same columns and the same width, whatever these are.
  class Floor
    TABLES = %w[tasks step_queue step_attempts task_transitions].freeze
    SETTINGS = %w[enable_seqscan enable_hashjoin enable_mergejoin enable_bitmapscan jit].freeze

    attr_reader :session

    # @param session [Server] plans by index from here on, as ours does
    # @param model [Integer] a task that has ended, so that rows of all kinds are there; a newer one is ready
    def initialize(session, model:)
      @session = plan_by_index(session)
      session.exec("DROP SCHEMA IF EXISTS bench_floor CASCADE; CREATE SCHEMA bench_floor; CREATE SEQUENCE bench_floor.task_id_seq")
      TABLES.each { |table| session.exec("CREATE TABLE bench_floor.#{table} (LIKE tasker.#{table} INCLUDING ALL)") }
      @task = row("tasks", "task_id = #{model}")
      @attempt = row("step_attempts", "task_id = #{model} ORDER BY step_no LIMIT 1")
      @transition = row("task_transitions", "task_id = #{model} ORDER BY transition_id LIMIT 1")
      @queue = row("step_queue", "phase = 'r' ORDER BY task_id DESC LIMIT 1")
    end

    # Creates tasks, then measures how long the sessions take to run all of them.
    def prepared(tasks, sessions)
      statement = create_statement
      tasks.times { @session.call(statement) }
      sessions.each { |each_session| plan_by_index(each_session) }
      Bench.in_sessions(sessions) { |each_session| yield each_session }
    end

    # Claims ten at a time and completes one by one, a transaction each.
    def work(session, steps:)
      until (claims = session.call(claim_statement, 10).values).empty?
        claims.each { |task, step| session.call(step.to_i == steps ? finish_statement : complete_statement, "{#{task}}", "{#{step}}") }
      end
    end

    def work_in_batches(session, steps:)
      until (claims = session.call(claim_statement, 50).values).empty?
        claims.partition { |_, step| step.to_i == steps }.zip([finish_statement, complete_statement]) do |part, statement|
          session.call(statement, *part.transpose.map { |ids| "{#{ids.join(",")}}" }) if part.any?
        end
      end
    end

    # create_task of a template with one root.
    def create_statement
      "WITH t AS (INSERT INTO bench_floor.tasks #{values(@task, task_id: "nextval('bench_floor.task_id_seq')",
                                                                **fresh_task)} RETURNING task_id) " \
        "INSERT INTO bench_floor.step_queue (#{@queue.keys.join(", ")}) SELECT #{queue_row("t.task_id", 1).join(", ")} FROM t"
    end

    # claim_steps($1): ready rows, and the tasks they start.
    def claim_statement
      "WITH c AS (SELECT task_id, step_no FROM bench_floor.step_queue WHERE shard_key = 0 AND lane_id = #{@queue["lane_id"]} " \
        "AND phase = 'r' AND phase NOT IN ('w', 'x') AND visible_at <= clock_timestamp() ORDER BY visible_at, task_id, step_no " \
        "LIMIT $1 FOR UPDATE SKIP LOCKED), " \
        "u AS (UPDATE bench_floor.step_queue q SET phase = 'c', visible_at = clock_timestamp() + interval '1 minute', " \
        "claim_token = 1 + (random() * 1e15)::bigint, claimed_at = clock_timestamp(), worker_id = 'bench' FROM c " \
        "WHERE q.task_id = c.task_id AND q.step_no = c.step_no AND q.shard_key = 0 RETURNING q.task_id, q.step_no), " \
        "s AS (UPDATE bench_floor.tasks t SET state = 'in_progress', started_at = clock_timestamp() FROM (SELECT DISTINCT task_id FROM u) d " \
        "WHERE t.task_id = d.task_id AND t.shard_key = 0 AND t.state = 'pending' RETURNING t.task_id), " \
        "r AS (INSERT INTO bench_floor.task_transitions (#{@transition.keys.join(", ")}) " \
        "SELECT #{transition_columns("s.task_id").join(", ")} FROM s) SELECT task_id, step_no FROM u"
    end

    # complete_step($1 task, $2 step) of a chain: the child is ready then.
    def complete_statement
      "#{ended}, q AS (INSERT INTO bench_floor.step_queue (#{@queue.keys.join(", ")}) " \
        "SELECT #{queue_row("d.task_id", "d.step_no + 1").join(", ")} FROM d) SELECT 1"
    end

    # complete_step of the last one: the task ends.
    def finish_statement
      "#{ended}, t AS (UPDATE bench_floor.tasks t SET state = 'complete', finished_at = clock_timestamp() FROM d " \
        "WHERE t.task_id = d.task_id AND t.shard_key = 0 RETURNING t.task_id), " \
        "r AS (INSERT INTO bench_floor.task_transitions (#{@transition.keys.join(", ")}) " \
        "SELECT #{transition_columns("t.task_id").join(", ")} FROM t) SELECT 1"
    end

    private

    def plan_by_index(session)
      SETTINGS.each { |setting| session.exec("SET #{setting} = off") }
      session
    end

    # Deletes the rows and records the attempts of steps $1, $2: arrays, or one of each.
    def ended
      attempt = columns(@attempt, task_id: "d.task_id", step_no: "d.step_no")
      "WITH d AS (DELETE FROM bench_floor.step_queue q USING unnest($1::bigint[], $2::int[]) AS i(task_id, step_no) " \
        "WHERE q.task_id = i.task_id AND q.step_no = i.step_no AND q.shard_key = 0 RETURNING q.task_id, q.step_no), " \
        "a AS (INSERT INTO bench_floor.step_attempts (#{@attempt.keys.join(", ")}) SELECT #{attempt.join(", ")} FROM d)"
    end

    def fresh_task = { state: "'pending'", started_at: "NULL", finished_at: "NULL", created_at: "clock_timestamp()" }

    def queue_row(task_id, step_no)
      columns(@queue, task_id: task_id, step_no: step_no, visible_at: "clock_timestamp()", claim_token: "NULL::bigint",
                      claimed_at: "NULL::timestamptz", worker_id: "NULL::text", checkpoint: "NULL::jsonb")
    end

    def transition_columns(task_id)
      columns(@transition, task_id: task_id, transition_id: "nextval('tasker.task_transition_id_seq')")
    end

    def values(model, **changes) = "(#{model.keys.join(", ")}) VALUES (#{columns(model, **changes).join(", ")})"

    def columns(model, **changes)
      changes = changes.transform_keys(&:to_s)
      model.map { |name, literal| changes.fetch(name, literal) }
    end

    # A row as literals: column name => SQL.
    def row(table, condition)
      typed = @session.exec("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute " \
                           "WHERE attrelid = 'tasker.#{table}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum").values
      literals = typed.map { |name, type| "quote_nullable(#{name}::text) || '::#{type.gsub("'", "''")}'" }
      values = @session.exec("SELECT #{literals.join(", ")} FROM tasker.#{table} WHERE #{condition}").values.first
      raise "no row of #{table} where #{condition}" unless values

      typed.map(&:first).zip(values).to_h
    end
  end
end
