# frozen_string_literal: true

require "time"

module TaskerCore
  # What people do to tasks, and what they ask about them: the part that the command line, the
  # dashboard and the metrics share. Rows are Hashes with the names of the SQL columns.
  class Operator
    # So many past runs count for an estimate.
    PAST_RUNS = 200
    # Seconds after which a schedule that is due has been forgotten.
    OVERDUE = 300

    # @return [Client]
    attr_reader :client

    # @param client [Client]
    def initialize(client)
      @client = client
    end

    # @return [Connection]
    def connection = client.connection

    # Calls a function of the extension; arguments that are nil are left out, but results: nil is JSON null.
    # @return [Array<Hash>]
    def rows(function, **arguments)
      connection.call(function, **arguments.reject { |name, value| value.nil? && name != :results })
    end

    # @return the only column of the only row
    def scalar(function, **arguments) = rows(function, **arguments).first.each_value.first

    # @!group Tasks and steps

    # @return [Hash] get_task: task, steps, progress
    # @raise [TaskNotFound]
    def task(task_id) = scalar(:get_task, task_id: task_id)

    # @return [Hash] get_step
    # @raise [StepNotFound]
    def step(workflow_step_id) = scalar(:get_step, workflow_step_id: workflow_step_id)

    # @return [Array<Hash>] reason and detail, the most decisive first
    def explain(workflow_step_id) = rows(:explain_step, workflow_step_id: workflow_step_id)

    # @param filters [Hash] of list_tasks
    def tasks(filters = {}, max_tasks: 50, before_task_id: nil)
      rows(:list_tasks, filters: filters, max_tasks: max_tasks, before_task_id: before_task_id)
    end

    # A step by its id, or by its task and name: "42000003", "42:charge".
    # @return [Integer]
    # @raise [StepNotFound]
    def step_id(text)
      return Integer(text, 10) if text.match?(/\A\d+\z/)

      task_id, name = text.split(":", 2)
      raise InvalidArgument, "no step: #{text.inspect}; give an id, or TASK:NAME" unless name && task_id.match?(/\A\d+\z/)

      step = task(Integer(task_id, 10)).fetch("steps").find { |candidate| candidate.fetch("name") == name }
      step&.fetch("workflow_step_id") || raise(StepNotFound, "task #{task_id} has no step #{name.inspect}")
    end

    # How long the newest complete runs of the same template version took: seconds, ascending.
    # @return [Array<Float>]
    def past_durations(task_id)
      named = task(task_id).fetch("task")
      filters = { namespace: named["namespace"], name: named["task_name"], version: named["version"], state: "complete" }
      tasks(filters, max_tasks: PAST_RUNS).map { |row| row[:finished_at] - [row[:created_at], row[:run_at]].compact.max }.sort
    end

    # @!endgroup
    # @!group Dead letters, workers, queues

    # @param state [String, nil] pending, ...; nil for all
    def dead_letters(state: "pending", limit: 100)
      connection.query(<<~SQL, [state, limit.to_s])
        SELECT * FROM tasker.dead_letter_details
        WHERE $1::text IS NULL OR state = $1::text
        ORDER BY dead_letter_id DESC LIMIT $2::int
      SQL
    end

    # Workers with what each claims and how many claims it holds.
    def workers = connection.query("SELECT * FROM tasker.worker_stats ORDER BY last_seen_at DESC LIMIT 500")

    # Roles that may claim steps, besides superusers: a worker that logs in as another one gets nothing.
    # @return [Array<String>]
    def claiming_roles
      connection.query(<<~SQL).map { |row| row.fetch(:role) }
        SELECT DISTINCT r.rolname::text AS role
        FROM pg_catalog.pg_proc p
        CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
        JOIN pg_catalog.pg_roles r ON pg_has_role(r.oid, a.grantee, 'USAGE') OR a.grantee = 0
        WHERE p.pronamespace = 'tasker'::regnamespace AND p.proname = 'claim_steps' AND a.privilege_type = 'EXECUTE'
          AND has_schema_privilege(r.oid, 'tasker', 'USAGE') AND NOT r.rolsuper
        ORDER BY role
      SQL
    end

    # One row a namespace and queue that has live steps.
    def queues = connection.query("SELECT * FROM tasker.queue_stats ORDER BY namespace, queue")

    # @return [Array<Hash>] rows of the view tasker.stats
    def stats = connection.query("SELECT * FROM tasker.stats ORDER BY namespace, name, version")

    # @return [Hash] workers_alive, events_lag (seconds), notification_queue (0 to 1)
    def server_gauges
      connection.query(<<~SQL).first
        SELECT (SELECT count(*) FROM tasker.worker_stats WHERE last_seen_at > clock_timestamp() - interval '2 minutes') AS workers_alive,
          (SELECT coalesce(extract(epoch FROM clock_timestamp() - oldest_waiting_at), 0)::float8 FROM tasker.events_lag()) AS events_lag,
          pg_notification_queue_usage() AS notification_queue
      SQL
    end

    # Schedules with how they are: paused, failed (the last time made no task), overdue (nobody runs maintenance) or on time.
    # @return [Array<Hash>] list_schedules and condition
    def schedules(namespace: nil)
      rows(:list_schedules, namespace: namespace).map { |row| { **row, condition: condition_of(row) } }
    end

    # What is paused now, namespaces and templates: the oldest pause first.
    # @return [Array<Hash>] list_pauses
    def pauses = rows(:list_pauses).reject { |row| row[:resumed_at] }.sort_by { |row| row[:paused_at] }

    # @return [Hash] get_system_health_counts
    def health = rows(:get_system_health_counts).first

    # What a person has to see to, in words; empty when all is well.
    # @param counts [Hash] of {health}
    # @return [Array<String>]
    def complaints(counts = health)
      claimable = queues.sum { |queue| queue.fetch(:ready) + queue.fetch(:lease_expired) }
      letters = counts.fetch(:dead_letters_pending)
      [(claimable.positive? && counts.fetch(:workers_alive).zero? &&
        "#{claimable} #{claimable == 1 ? "step" : "steps"} can be claimed and no worker is alive: start workers"),
       (letters.positive? && "#{letters} #{letters == 1 ? "dead letter waits" : "dead letters wait"} for a person: tasker dead-letters"),
       *schedule_complaints].select(&:itself)
    end

    # @return [Array<String>] a line for each schedule that does not do what it is for
    def schedule_complaints
      schedules.filter_map do |row|
        name = "schedule #{row[:namespace]}/#{row[:name]}"
        case row[:condition]
        when "failed" then "#{name} made no task at #{row[:last_due_at].utc.iso8601}: #{row[:last_error]}"
        when "overdue" then "#{name} is due since #{row[:next_due_at].utc.iso8601}: run maintenance, or the background worker"
        end
      end
    rescue PermissionDenied
      [] # those who may not see them need not care
    end

    # @return [Array<Hash>] list_task_templates
    def templates(namespace: nil) = rows(:list_task_templates, namespace: namespace)

    # @!endgroup
    # @!group History

    # Attempts that ended, in slices of time: how many, how they ended, and how long they took.
    # @param seconds [Integer] how far back
    # @param slices [Integer]
    # @return [Array<Hash>] from the oldest: started_at, completed, failed, median, p95 (seconds)
    def attempts_over_time(seconds: 3600, slices: 60)
      connection.query(<<~SQL, [seconds.to_s, slices.to_s])
        WITH range AS (
          SELECT clock_timestamp() AS till, make_interval(secs => $1::int::float8 / $2::int) AS slice),
        ended AS MATERIALIZED (SELECT a.outcome, a.claimed_at, a.finished_at FROM tasker.recent_attempts a)
        SELECT r.till - s.n * r.slice AS started_at,
          count(e.outcome) FILTER (WHERE e.outcome = 'completed') AS completed,
          count(e.outcome) FILTER (WHERE e.outcome <> 'completed') AS failed,
          percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM e.finished_at - e.claimed_at)::float8) AS median,
          percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM e.finished_at - e.claimed_at)::float8) AS p95
        FROM range r
        CROSS JOIN generate_series($2::int, 1, -1) AS s (n)
        LEFT JOIN ended e ON e.finished_at >= r.till - s.n * r.slice AND e.finished_at < r.till - (s.n - 1) * r.slice
        GROUP BY r.till, r.slice, s.n ORDER BY s.n DESC
      SQL
    end

    # @return [Array<Hash>] read_events
    def events(after: nil, max_events: 100, pattern: nil)
      rows(:read_events, after: after, max_events: max_events, pattern: pattern)
    end

    # Text that changes when something happens: to one task, or to any.
    # @return [String]
    def fingerprint(task_id = nil)
      return connection.query("SELECT md5(tasker.get_task($1::bigint)::text)", [task_id.to_s]).first.each_value.first if task_id

      connection.query(<<~SQL).first.each_value.first
        SELECT md5(concat_ws(' ', (SELECT head FROM tasker.events_lag()), (SELECT string_agg(q::text, ' ') FROM tasker.queue_stats q)))
      SQL
    end

    # @return [String, nil] the cursor of a reader that has read everything
    def newest_cursor = rows(:events_lag).first&.fetch(:head)

    # @!endgroup

    private

    def condition_of(schedule)
      return "paused" if schedule[:paused_at]
      return "failed" if schedule[:last_error]

      due = schedule[:next_due_at]
      due && due < Time.now - OVERDUE ? "overdue" : "on time"
    end
  end
end
