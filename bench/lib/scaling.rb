# frozen_string_literal: true

require_relative "timing"
require_relative "workload"

module Bench
  # How cost grows: with workers, with tasks that wait, with steps in one graph, with history.
  # Counts (blocks, bytes, levels of an index) say more than times: they are the same everywhere.
  class Scaling
    NAMES = %i[workers tasks dag history].freeze
    HEADS = {
      workers: ["workers", "steps/s", "claim p50 ms", "claim p99 ms", "completion p50 ms", "completion p99 ms", "empty claims %"],
      tasks: ["tasks waiting", "created/s in bulk", "blocks: create", "blocks: claim(1)", "blocks: complete", "WAL bytes: create",
              "MB: tasks", "MB: step_queue", "levels: claim index", "first claim of a session, ms"],
      dag: ["steps", "edges", "register ms", "first use in a session ms", "create ms", "blocks: claim(1)", "blocks: complete",
            "readiness ms", "WAL kB: create"],
      history: ["rows of history", "MB", "blocks: claim(1)", "blocks: complete", "blocks: get_task", "blocks: read_events(100)",
                "list_tasks ms", "levels: attempts' index"]
    }.freeze
    WORKERS = [1, 2, 4, 8, 16, 32, 64].freeze
    WAITING = [1_000, 10_000, 100_000, 1_000_000].freeze
    STEPS = [1_000, 10_000, 100_000].freeze
    HISTORY = [100_000, 1_000_000, 10_000_000].freeze

    # @param scale [Float] sizes times this
    # @param minutes [Float] no size is begun after so many
    def initialize(server, scale: 1.0, minutes: Float::INFINITY)
      @server = server
      @scale = scale
      @minutes = minutes
      server.exec("CREATE EXTENSION IF NOT EXISTS pageinspect")
      server.exec("SET tasker_core.max_template_steps = 999999; SET tasker_core.max_template_edges = 10000000; SET tasker_core.notify = off")
    end

    # @yield [key, measure] for each size
    def run(name)
      began = Bench.clock
      sizes(name).each do |size|
        break warn("#{name}: no time left for #{size}") if Bench.clock - began > @minutes * 60

        yield size, -> { public_send(name, size) }
      end
    end

    # Processes that claim ten and complete one by one.
    def workers(count)
      work = Workload.new(@server, "chain-10")
      work.create_many([(@scale * 400 * Math.sqrt(count)).ceil, count].max)
      took, times = in_processes(count) { |session| claims_and_completions(work, session) }
      claims, completions = %i[claims completions].map { |kind| times.flat_map { |of_one| of_one.fetch(kind) } }
      empty = times.sum { |of_one| of_one.fetch(:empty) }
      [count, (completions.size / took).round, *spread_of(claims), *spread_of(completions), (100.0 * empty / (claims.size + empty)).round(1)]
    end

    def tasks(waiting)
      work = Workload.new(@server, "one")
      missing = waiting - @server.value("SELECT count(*) FROM tasker.tasks WHERE state = 'pending'").to_i
      seconds = Bench.seconds { work.create_many([missing, 1].max) }
      @server.exec("VACUUM ANALYZE")
      fresh = @server.another
      first = Bench.seconds { work.claim(1, session: fresh) }
      fresh.close
      [waiting, ([missing, 1].max / seconds).round, *blocks(work, :create, :claim, :complete), wal_of(work), megabytes("tasks"),
       megabytes("step_queue"), levels("step_queue_claim_idx"), ms(first)]
    end

    # Layers of four, each step behind all four of the layer before.
    def dag(steps)
      shape = "layers-#{steps}"
      Workload::SHAPES[shape] ||= Workload.layers(steps)
      register = Bench.seconds { @work = Workload.new(@server, shape) }
      fresh = @server.another
      fresh.exec("SET tasker_core.notify = off")
      fresh.value("SELECT count(*) FROM tasker.claim_steps('bench', 1, task_names => '{none/none}')")
      first = Bench.seconds { fresh.call(Workload::CREATE, shape) }
      fresh.close
      wal = wal_bytes
      create = Bench.median(Array.new(3) { Bench.seconds { @work.create(1) } })
      wal = (wal_bytes - wal) / 3
      readiness = Bench.seconds { @server.exec("SELECT count(*) FROM tasker.get_step_readiness_status(#{newest_task})") }
      [steps, Workload::SHAPES[shape].sum { |_, parents| parents.size }, ms(register), ms(first), ms(create),
       *blocks(@work, :claim, :complete), ms(readiness), wal / 1000]
    end

    # Tasks of ten steps that ended, copied from one that really ran.
    def history(rows)
      work = Workload.new(@server, "chain-10")
      work.create(2)
      work.work
      copy_tasks((rows - @server.value("SELECT count(*) FROM tasker.step_attempts").to_i) / work.steps)
      @server.exec("VACUUM ANALYZE")
      get, read = [newest_task].flat_map do |task|
        ["SELECT tasker.get_task(#{task})", "SELECT count(*) FROM tasker.read_events(NULL, 100)"].map { |sql| warm_blocks(sql) }
      end
      list = Bench.median(Array.new(5) { Bench.seconds { @server.exec("SELECT count(*) FROM tasker.list_tasks('{\"state\": \"complete\"}', 100)") } })
      [rows, history_megabytes, *blocks(work, :claim, :complete), get, read, ms(list), levels(attempts_index)]
    end

    private

    def sizes(name)
      return WORKERS if name == :workers

      { tasks: WAITING, dag: STEPS, history: HISTORY }.fetch(name).map { |size| [(size * @scale).round, 100].max }.uniq
    end

    # ---- workers ----

    # @return [Array(Float, Array)] seconds until all were done, and what each returned
    def in_processes(count)
      pipes = Array.new(count) { IO.pipe }
      children = nil
      seconds = Bench.seconds do
        children = pipes.map { |_, writer| fork { report_from_child(writer, pipes.flatten) { |session| yield session } } }
        pipes.each { |_, writer| writer.close }
        @answers = pipes.map { |reader, _| Marshal.load(reader.read) } # rubocop:disable Security/MarshalLoad
        children.each { |child| Process.wait(child) }
      end
      [seconds, @answers]
    end

    # An end of another's pipe that stays open here would keep that one from being read to its end.
    def report_from_child(writer, ends)
      (ends - [writer]).each(&:close)
      session = @server.another
      session.exec("SET tasker_core.notify = off")
      writer.write(Marshal.dump(yield(session)))
      writer.close
      exit!(0)
    end

    # A chain whose next step is in other hands leaves nothing to claim for a moment.
    def claims_and_completions(work, session)
      times = { claims: [], completions: [], empty: 0 }
      loop do
        claimed = nil
        took = Bench.seconds { claimed = work.claim(10, session: session) }
        if claimed.empty?
          times[:empty] += 1
          return times if finished?(work, session)
        end
        times[:claims] << took if claimed.any?
        claimed.each { |claim| times[:completions] << Bench.seconds { session.call(Workload::COMPLETE, *claim, Workload::RESULT) } }
      end
    end

    def finished?(work, session)
      session.value("SELECT NOT EXISTS (SELECT FROM tasker.tasks t JOIN tasker.named_tasks n USING (named_task_id) " \
                    "WHERE n.name = $1 AND t.finished_at IS NULL)", work.shape) == "t"
    end

    def spread_of(times) = [ms(Bench.median(times)), ms(Bench.percentile(times, 0.99))]

    # ---- history ----

    HISTORY_TABLES = %w[tasks task_transitions step_attempts].freeze
    PER_STATEMENT = 50_000

    def copy_tasks(count)
      model = @server.value("SELECT max(task_id) FROM tasker.tasks WHERE state = 'complete'").to_i
      until count <= 0
        part = [count, PER_STATEMENT].min
        first = @server.value("SELECT setval('tasker.task_id_seq', nextval('tasker.task_id_seq') + #{part}) - #{part}").to_i
        HISTORY_TABLES.each { |table| copy_rows(table, model, first, part) }
        count -= part
      end
    end

    def copy_rows(table, model, first, part)
      columns = @server.exec("SELECT attname FROM pg_attribute WHERE attrelid = 'tasker.#{table}'::regclass AND attnum > 0 AND NOT attisdropped " \
                             "AND attname NOT IN ('event_xact', 'event_seq', 'transition_id')").column_values(0)
      values = columns.map { |column| column == "task_id" ? "#{first} + n" : "t.#{column}" }
      @server.exec("INSERT INTO tasker.#{table} (#{columns.join(", ")}) SELECT #{values.join(", ")} " \
                   "FROM tasker.#{table} t, generate_series(1, #{part}) n WHERE t.task_id = #{model}")
    end

    def history_megabytes
      (@server.value("SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c WHERE c.relnamespace = 'tasker'::regnamespace " \
                     "AND c.relkind = 'r'").to_f / 1e6).round
    end

    def attempts_index
      @server.value("SELECT indexrelid::regclass FROM pg_index WHERE indisprimary AND indrelid = (SELECT relid FROM pg_stat_user_tables " \
                    "WHERE schemaname = 'tasker' AND relname LIKE 'step\\_attempts\\__' ORDER BY pg_relation_size(relid) DESC LIMIT 1)")
             .delete_prefix("tasker.")
    end

    # ---- counts ----

    # Blocks that the verbs touch, once their plans are there. What is completed was claimed a moment before.
    def blocks(work, *verbs)
      verbs.map do |verb|
        Bench.median(Array.new(5) { send(:"blocks_of_#{verb}", work) }.last(3))
      end
    end

    def warm_blocks(sql) = Array.new(3) { @server.buffers(sql) }.last

    def blocks_of_create(work) = @server.buffers("SELECT * FROM tasker.create_task('#{work.shape}')")

    def blocks_of_claim(work)
      @server.buffers("SELECT * FROM tasker.claim_steps('bench', 1, task_names => '{default/#{work.shape}}')")
    end

    def blocks_of_complete(work)
      work.create(1) if work.shape == "chain-10"
      step, token = work.claim(1).first
      @server.buffers("SELECT * FROM tasker.complete_step(#{step}, #{token}, '#{Workload::RESULT}')")
    end

    def wal_bytes = @server.value("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").to_i

    def wal_of(work)
      before = wal_bytes
      work.create(100)
      (wal_bytes - before) / 100
    end

    def newest_task = @server.value("SELECT max(task_id) FROM tasker.tasks").to_i

    def megabytes(table) = (@server.value("SELECT pg_total_relation_size('tasker.#{table}')").to_f / 1e6).round(1)

    def levels(index) = @server.value("SELECT level + 1 FROM bt_metap('tasker.#{index}')").to_i

    def ms(seconds) = (seconds * 1000).round(2)
  end
end
