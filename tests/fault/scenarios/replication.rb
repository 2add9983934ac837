# frozen_string_literal: true

module Fault
  # Commits wait for the standby, as those must that may not be lost with the primary.
  class StandbyPromoted < Scenario
    description "the primary dies, its synchronous standby is promoted, and clients go there"

    def run
      @primary = lab.cluster
      under_load(@primary, url: -> { @primary.url }, survivor: -> { @primary }, faults: 1, connections_break: true) { fail_over }
    end

    private

    def fail_over
      standby = attach_standby
      check("the standby answers, and refuses to write", reading_only(standby)) unless @seen
      @seen = true
      sleep(0.3)
      @primary.stop("immediate")
      standby.promote
      @primary = standby
    end

    def attach_standby
      standby = lab.adopt
      lab.run(lab.program("pg_basebackup"), "-h", @primary.socket, "-U", "postgres", "-D", standby.data, "-R", "-c", "fast", "--no-sync")
      standby.configure
      standby.start
      commits_wait
      standby
    end

    # With this one, all commits before it are on the standby.
    def commits_wait
      pg = @primary.admin
      pg.exec("ALTER SYSTEM SET synchronous_standby_names = '*'")
      pg.exec("SELECT pg_reload_conf()")
      Fault.wait_until("the standby has caught up") { pg.exec("SELECT FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'").ntuples == 1 }
      pg.exec("SELECT pg_logical_emit_message(true, '', '')")
    ensure
      pg&.close
    end

    def reading_only(standby)
      pg = standby.admin
      Fault.wait_until("tasks arrive") { pg.exec("SELECT tasker.get_task(task_id) FROM tasker.tasks LIMIT 1").ntuples.positive? }
      violations = pg.exec("SELECT * FROM tasker.verify_all(NULL)").map(&:to_s)
      pg.exec("SELECT FROM tasker.claim_steps('w', 1)")
      [*violations, "it gave out a step"]
    rescue PG::ReadOnlySqlTransaction
      violations
    ensure
      pg&.close
    end
  end

  class LogicalReplica < Scenario
    description "a subscriber to all tables has equal data, though it crashes, and can take over"

    def run
      @publisher, @subscriber = lab.cluster, lab.cluster
      subscribe
      under_load(@publisher, faults: 1) { crash_of_the_subscriber }
      check("its data is equal", differences)
      check("it can take over", take_over)
    end

    private

    def on(cluster)
      pg = cluster.admin
      yield pg
    ensure
      pg&.close
    end

    # Not while tables are copied: a worker of PostgreSQL that does this drops its slot on the
    # publisher before it commits that it is done, and after a crash between the two it asks for
    # that slot for ever.
    def crash_of_the_subscriber
      all_copied
      @subscriber.restart_after("immediate")
    end

    def all_copied
      on(@subscriber) { |to| Fault.wait_until("all tables are copied") { to.exec("SELECT FROM pg_subscription_rel WHERE srsubstate <> 'r'").ntuples.zero? } }
    end

    TABLES = "SELECT format('%I.%I', nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace " \
             "WHERE relkind = 'r' AND nspname IN ('tasker', 'public') ORDER BY 1"

    def subscribe
      on(@publisher) { |pg| pg.exec("CREATE PUBLICATION everything FOR ALL TABLES") }
      on(@subscriber) do |pg|
        pg.exec("TRUNCATE #{pg.exec(TABLES).column_values(0).join(", ")}")
        pg.exec("CREATE SUBSCRIPTION everything CONNECTION '#{@publisher.url}' PUBLICATION everything")
      end
    end

    def differences
      on(@publisher) do |from|
        Fault.wait_until("the subscriber has caught up") do
          from.exec("SELECT FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()").ntuples == 1
        end
        on(@subscriber) { |to| from.exec(TABLES).column_values(0).reject { |table| digest(from, table) == digest(to, table) } }
      end
    end

    def digest(pg, table) = pg.exec("SELECT count(*), md5(string_agg(t::text, ' ' ORDER BY t::text)) FROM #{table} t").values

    # Sequences are not replicated: a switch takes their values along.
    SEQUENCES = "SELECT 'tasker.' || sequencename, last_value FROM pg_sequences WHERE schemaname = 'tasker' AND last_value IS NOT NULL"

    def take_over
      on(@subscriber) do |pg|
        pg.exec("DROP SUBSCRIPTION everything")
        on(@publisher) { |from| from.exec(SEQUENCES).each_row { |sequence| pg.exec_params("SELECT setval($1, $2)", sequence) } }
        task = pg.exec("SELECT task_id FROM tasker.create_task('diamond', namespace => 'fault')").getvalue(0, 0)
        4.times { pg.exec("SELECT s.* FROM tasker.claim_steps('w', 1, task_id => #{task}) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1') s") }
        state = pg.exec("SELECT state FROM tasker.tasks WHERE task_id = #{task}").getvalue(0, 0)
        pg.exec("SELECT * FROM tasker.verify_all(NULL)").map(&:to_s) + (state == "complete" ? [] : ["the new task is #{state}"])
      end
    end
  end
end
