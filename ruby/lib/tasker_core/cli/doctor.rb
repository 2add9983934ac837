# frozen_string_literal: true

module TaskerCore
  module CLI
    # `tasker doctor`: one look at everything that commonly goes wrong. A finding has a level (ok,
    # warning, problem), what was seen, and a remedy unless it is ok. A check that the role may not
    # make is a warning that says so.
    class Doctor
      CHECKS = %i[extension server grants listen background autovacuum bloat oldest_snapshot notifications
                  connections work sql_steps schedules invariants].freeze
      DEAD_ROWS = 20_000
      OLD_TRANSACTION = 300 # seconds
      PROBE_TIMEOUT = 5     # seconds
      MARKS = { "ok" => "ok     ", "warning" => "warning", "problem" => "PROBLEM" }.freeze

      # @param finding [Hash]
      # @param out [Output]
      def self.say(finding, out)
        level = finding.fetch(:level)
        out.say("#{out.paint(MARKS.fetch(level), level)}  #{finding.fetch(:check).to_s.tr("_", " ")}: #{out.cell(finding.fetch(:detail), widest: nil)}")
        out.say("         → #{finding[:remedy]}") if finding[:remedy]
      end

      # @param role [String, nil] whose rights to look at; nil: those of the role that asks
      def initialize(operator, role: nil)
        @operator = operator
        @role = role
      end

      # @return [Array<Hash>] check, level, detail, remedy
      def findings
        @operator.client.check_extension
        CHECKS.map { |check| attempt(check) }
      end

      private

      def attempt(check)
        send(check).then { |level, detail, remedy| { check: check, level: level, detail: detail, remedy: remedy } }
      rescue ConnectionError
        raise
      rescue DatabaseError => e
        { check: check, level: "warning", detail: "could not look: #{e.message}",
          remedy: e.is_a?(PermissionDenied) ? "ask with a role that has more rights, such as the extension's owner" : "see the message" }
      end

      def one(sql) = @operator.connection.query(sql).first

      def extension
        version = @operator.client.check_extension
        library = @operator.scalar(:library_version)
        said = "extension #{version}, library #{library}, gem #{VERSION}"
        return ["ok", said] if library.split(".").first(2) == version.split(".").first(2)

        ["problem", said, "ALTER EXTENSION tasker_core UPDATE, or install the library of the extension's version"]
      end

      def server
        row = one("SELECT current_setting('server_version_num')::int / 10000 AS major, pg_is_in_recovery() AS standby")
        return ["problem", "PostgreSQL #{row[:major]}", "upgrade: 15 is the oldest that is supported"] if row[:major] < 15
        return ["warning", "a standby, in recovery", "connect to the primary: workers have to write"] if row[:standby]

        ["ok", "PostgreSQL #{row[:major]}, primary"]
      end

      def grants
        row = @operator.connection.query(<<~SQL, [@role]).first
          SELECT r.role::text AS role, has_schema_privilege(r.role, 'tasker', 'USAGE') AS schema, count(*) AS all,
            count(*) FILTER (WHERE has_function_privilege(r.role, p.oid, 'EXECUTE')) AS allowed,
            array_agg(DISTINCT p.proname::text) FILTER (WHERE NOT has_function_privilege(r.role, p.oid, 'EXECUTE')) AS missing
          FROM (SELECT coalesce($1::text::name, current_user) AS role) r
          JOIN pg_catalog.pg_proc p ON p.pronamespace = 'tasker'::regnamespace GROUP BY r.role
        SQL
        unless row[:schema]
          return ["problem", "role #{row[:role]} has no right to the schema tasker: whatever it calls fails",
                  "as the owner of the extension: tasker access grant ROLE worker (or producer, operator, reader)"]
        end
        return ["ok", "role #{row[:role]} may call every function"] if row[:missing].nil? || row[:missing].empty?

        ["warning", "role #{row[:role]} may call #{row[:allowed]} of #{row[:all]} functions; not #{row[:missing].first(5).join(", ")}#{" ..." if row[:missing].size > 5}",
         "fine if it needs no more; else, as the owner of the extension: tasker access grant ROLE ACCESS"]
      end

      # Behind a pooler in transaction mode LISTEN succeeds and hears nothing.
      def listen
        heard = nil
        @operator.connection.with do |pg|
          channel = "tasker_doctor_#{Process.pid}"
          pg.exec("LISTEN #{channel}")
          pg.exec("NOTIFY #{channel}")
          heard = pg.wait_for_notify(PROBE_TIMEOUT)
        ensure
          pg.exec("UNLISTEN #{channel}") if channel && !pg.finished?
        end
        level = one("SELECT current_setting('tasker_core.notify', true) AS notify").fetch(:notify)
        return ["warning", "LISTEN hears nothing on this connection", "workers behind a pooler need --listen-url with a direct connection, or poll alone with --no-listen"] unless heard
        return ["warning", "notifications arrive, but tasker_core.notify is off", "workers poll alone; set tasker_core.notify = 'tasks' unless that is meant"] if level == "off"

        ["ok", "notifications arrive; tasker_core.notify is #{level || "at its default"}"]
      end

      def background
        row = one(<<~SQL)
          SELECT count(*) FILTER (WHERE backend_type = 'tasker_core worker' AND datname = current_database()) AS workers,
            count(*) FILTER (WHERE backend_type = 'tasker_core launcher') AS launchers,
            pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_all,
            current_database() AS database, current_setting('tasker_core.databases', true) AS databases,
            (SELECT max(ran_at) FROM tasker.maintenance) AS ran_at,
            (SELECT max(ran_at) > clock_timestamp() - interval '10 minutes' FROM tasker.maintenance) AS fresh
          FROM pg_catalog.pg_stat_activity
        SQL
        said = "maintenance #{row[:ran_at] ? "ran last at #{row[:ran_at].utc.iso8601}" : "never ran"}"
        return ["ok", "background worker is running; #{said}"] if row[:workers].positive?

        seen = row[:sees_all] ? "no background worker" : "no background worker that this role could see"
        return ["ok", "#{seen}; #{said}"] if row[:fresh]

        ["warning", "#{seen}, and #{said}", background_remedy(row)]
      end

      def background_remedy(row)
        if row[:launchers].positive?
          return "the library is preloaded: add #{row[:database]} to tasker_core.databases (now '#{row[:databases]}') and reload; " \
                 "if it is there, the server's log says why no worker starts"
        end

        "add tasker_core to shared_preload_libraries, or run `tasker maintenance` every 10 seconds or so from cron or pg_cron"
      end

      def autovacuum
        row = one(<<~SQL)
          SELECT current_setting('autovacuum') AS autovacuum, current_setting('track_counts') AS counts,
            (SELECT array_agg(c.relname::text) FROM pg_catalog.pg_class c
             WHERE c.relnamespace = 'tasker'::regnamespace AND 'autovacuum_enabled=false' = ANY (c.reloptions)) AS excluded
        SQL
        return ["problem", "autovacuum is off", "ALTER SYSTEM SET autovacuum = on, then reload: the queue is updated all the time"] if row[:autovacuum] != "on"
        return ["problem", "track_counts is off, so autovacuum never starts", "ALTER SYSTEM SET track_counts = on, then reload"] if row[:counts] != "on"
        return ["problem", "autovacuum is switched off for #{row[:excluded].join(", ")}", "ALTER TABLE ... RESET (autovacuum_enabled)"] if row[:excluded]

        ["ok", "autovacuum is on"]
      end

      def bloat
        rows = @operator.connection.query(<<~SQL)
          SELECT relname::text AS name, n_dead_tup AS dead, n_live_tup AS live, last_autovacuum
          FROM pg_catalog.pg_stat_user_tables
          WHERE schemaname = 'tasker' AND n_dead_tup > #{DEAD_ROWS} AND n_dead_tup > n_live_tup
          ORDER BY n_dead_tup DESC
        SQL
        return ["ok", "no table has more dead rows than live ones"] if rows.empty?

        ["warning", rows.map { |row| "#{row[:name]} has #{row[:dead]} dead rows and #{row[:live]} live ones" }.join("; "),
         "see `oldest snapshot` first: what is still seen cannot be removed; then VACUUM (VERBOSE) the table"]
      end

      def oldest_snapshot
        row = one(<<~SQL)
          SELECT * FROM (
            SELECT 'process ' || pid || ' (' || coalesce(usename, '?') || ', ' || coalesce(state, '?') || ')' AS holder,
              extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds,
              'end it, or SELECT pg_terminate_backend(' || pid || ')' AS remedy
            FROM pg_catalog.pg_stat_activity
            WHERE (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
            UNION ALL
            SELECT 'prepared transaction ' || quote_literal(gid), extract(epoch FROM clock_timestamp() - prepared)::float8,
              'COMMIT PREPARED or ROLLBACK PREPARED ' || quote_literal(gid)
            FROM pg_catalog.pg_prepared_xacts) o
          ORDER BY seconds DESC LIMIT 1
        SQL
        return ["ok", "nothing holds an old snapshot"] if row.nil? || row[:seconds] < OLD_TRANSACTION

        ["problem", "#{row[:holder]} has been in one transaction for #{Watch.duration(row[:seconds])}: dead rows stay, events wait", row[:remedy]]
      end

      def notifications
        usage = one("SELECT pg_notification_queue_usage() AS usage").fetch(:usage)
        return ["ok", format("the notification queue is %.1f %% full", usage * 100)] if usage < 0.5

        ["problem", format("the notification queue is %.0f %% full: no notification is sent", usage * 100),
         "a session listens and stays in one transaction: see `oldest snapshot`"]
      end

      def connections
        row = one(<<~SQL)
          SELECT (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend') AS used,
            current_setting('max_connections')::int AS most
        SQL
        said = "#{row[:used]} of #{row[:most]} connections are in use"
        row[:used] < row[:most] * 0.9 ? ["ok", said] : ["warning", said, "put PgBouncer in front, or fewer threads per worker"]
      end

      def work
        counts = @operator.health
        complaints = @operator.complaints(counts) - @operator.schedule_complaints
        return ["ok", "#{counts.fetch(:workers_alive)} workers alive, no dead letter, no step waits for a worker in vain"] if complaints.empty?

        idle = counts.fetch(:workers_alive).zero? && complaints.first.include?("no worker")
        [idle ? "problem" : "warning", complaints.join("; "),
         idle ? "start workers: tasker worker -r FILE" : "tasker dead-letters, then tasker task retry TASK_ID"]
      end

      # Steps that no external worker takes, of roles whose sessions do not take them either.
      def sql_steps
        rows = @operator.connection.query(<<~SQL)
          SELECT substr(q.queue, 5) AS role, sum(q.ready)::int AS steps, r.rolname IS NOT NULL AS exists, coalesce(r.rolcanlogin, false) AS login
          FROM tasker.queue_stats q LEFT JOIN pg_catalog.pg_roles r ON r.rolname = substr(q.queue, 5)
          WHERE q.queue LIKE 'sql:%' AND q.oldest_ready_at < clock_timestamp() - interval '1 minute'
          GROUP BY q.queue, r.rolname, r.rolcanlogin ORDER BY q.queue
        SQL
        return ["ok", "no SQL step has waited for a minute"] if rows.empty?

        said = rows.map do |row|
          why = "does not exist" unless row[:exists]
          why ||= "may not log in" unless row[:login]
          "#{row[:steps]} of role #{row[:role]}#{", which #{why}" if why}"
        end
        ["warning", "SQL steps wait: #{said.join("; ")}",
         "SELECT * FROM tasker.explain_step(...) of one says why the background worker does not run them; else call tasker.run_sql_steps() in a session of the role"]
      end

      def schedules
        rows = @operator.schedules
        wrong = @operator.schedule_complaints
        counts = rows.group_by { |row| row[:condition] }.map { |condition, list| "#{list.size} #{condition}" }
        return ["ok", rows.empty? ? "there are none" : counts.sort.join(", ")] if wrong.empty?

        overdue = rows.any? { |row| row[:condition] == "overdue" }
        [overdue ? "problem" : "warning", wrong.join("; "),
         overdue ? "run `tasker maintenance` every 10 seconds or so, or the background worker" : "put right what the error says: tasker schedule list"]
      end

      def invariants
        violations = @operator.rows(:verify_all, max_tasks: 200)
        return ["ok", "verify_all finds nothing in the unfinished and the newest 200 tasks"] if violations.empty?

        first = violations.first
        ["problem", "#{violations.size} violations, the first: task #{first[:task_id]}: #{first[:violation]}",
         "this is a bug or a change made around the extension: report it with the output of `tasker task show`"]
      end
    end
  end
end
