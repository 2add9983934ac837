# frozen_string_literal: true

require "json"
require "pg"

module Bench
  # A connection to the server under test, and what the server says it did.
  class Server
    # Without the worker's own row, which is written every ten seconds, however many steps that is.
    COUNTERS = <<~SQL
      SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) AS writes, coalesce(sum(n_tup_upd + n_tup_del), 0) AS dead,
        coalesce(sum(n_tup_upd) FILTER (WHERE relname = 'tasks'), 0) AS task_updates,
        coalesce(sum(n_tup_hot_upd) FILTER (WHERE relname = 'tasks'), 0) AS hot_task_updates,
        coalesce(sum(n_tup_ins) FILTER (WHERE relname LIKE 'step\\_attempts\\__'), 0) AS steps
      FROM pg_stat_user_tables WHERE schemaname = 'tasker' AND relname <> 'workers'
    SQL

    attr_reader :connection

    def initialize(url)
      @url = url
      @connection = PG.connect(url)
      @prepared = {}
    end

    def another = Server.new(@url)

    # After the server went away.
    def reconnect
      @connection.close
      @connection = PG.connect(@url)
      @prepared = {}
    end

    def close = connection.close

    def exec(sql) = connection.exec(sql)

    # Prepared once per connection, as an application would with a driver of its own.
    def call(sql, *values)
      name = @prepared[sql] ||= "s#{@prepared.size}".tap { |new_name| connection.prepare(new_name, sql) }
      connection.exec_prepared(name, values)
    end

    def value(sql, *values) = call(sql, *values).getvalue(0, 0)

    # While a background worker looks after this database.
    def with_background_worker
      configure("tasker_core.databases", connection.db)
      wait_for_workers(1)
      yield
    ensure
      configure("tasker_core.databases", "")
      wait_for_workers(0)
    end

    # Counted from here on: what this and other sessions wrote once they were idle.
    def counters
      exec("SELECT pg_stat_force_next_flush()")
      exec("SELECT pg_stat_clear_snapshot()")
      exec(COUNTERS).first.to_h { |name, count| [name.to_sym, count.to_i] }
                    .merge(wal: value("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").to_i, cpu: cpu_seconds)
    end

    # What a block did: the difference of the counters.
    def counting
      before = counters
      yield
      counters.to_h { |name, count| [name, count - before.fetch(name)] }
    end

    # Blocks that a statement touched.
    def buffers(sql)
      plan = JSON.parse(exec("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) #{sql}").getvalue(0, 0)).first.fetch("Plan")
      plan.fetch("Shared Hit Blocks") + plan.fetch("Shared Read Blocks")
    end

    def configure(setting, value)
      exec("ALTER SYSTEM SET #{setting} = '#{value}'")
      exec("SELECT pg_reload_conf()")
    end

    WORKERS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'tasker_core worker%' AND datname = current_database()"

    def wait_for_workers(count)
      deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 60
      until value(WORKERS).to_i == count
        raise "#{count} background workers did not come about" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline

        sleep 0.1
      end
    end

    # User and system time of this session's process, where the server is on this machine.
    def cpu_seconds
      fields = File.read("/proc/#{connection.backend_pid}/stat").rpartition(")").last.split
      (fields[11].to_i + fields[12].to_i) / 100.0
    rescue Errno::ENOENT
      0.0
    end
  end
end
