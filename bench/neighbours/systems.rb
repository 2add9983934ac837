# frozen_string_literal: true

require_relative "driver"

module Bench
  module Neighbours
    # This extension.
    class Ours < Driver
      def shapes = %w[chain-10 diamond-4 one wide-1000]
      def batches? = true
      def prepare(shape) = (@work ||= {})[shape] = Workload.new(server, shape)
      def create(shape, count) = @work.fetch(shape).create(count)
      def create_in_batches(shape, count) = @work.fetch(shape).create_many(count)
      def work(shape, batch: 10) = @work.fetch(shape).work(batch: batch).size

      def work_in_batches(shape, batch: 50)
        before = steps_on_record
        @work.fetch(shape).work_in_batches(batch: batch)
        steps_on_record - before
      end

      def readiness(layers)
        prepare(layers)
        create(layers, 1)
        "SELECT FROM tasker.get_step_readiness_status(#{server.value("SELECT max(task_id) FROM tasker.tasks")})"
      end

      private

      def steps_on_record = server.value("SELECT count(*) FROM tasker.step_attempts WHERE outcome = 'completed'").to_i
    end

    # The same worker, each of whose reports brings the next step: one transaction a step instead of 1.1.
    class OursWithClaims < Ours
      COMPLETE = "SELECT workflow_step_id, claim_token FROM tasker.complete_and_claim(ARRAY[$1::bigint], ARRAY[$2::bigint], " \
                 "ARRAY['#{RESULT}'::jsonb], 'bench', task_names => $3::text[])"

      def batches? = false

      def work(shape, batch: 10)
        until_nothing_is_left(-> { @work.fetch(shape).claim(batch) }) do |claims|
          steps = 0
          while (claim = claims.shift)
            claims.concat(call(COMPLETE, *claim, "{default/#{shape}}"))
            steps += 1
          end
          steps
        end
      end

      def readiness(_layers) = nil
    end

    # Supabase's pgflow: a queue of pgmq for each flow, and tables for runs, steps and tasks.
    class Pgflow < Driver
      START = "SELECT FROM pgflow.start_flow($1, '{}')"
      START_MANY = "SELECT count(*) FROM generate_series(1, $2::int) AS n, LATERAL pgflow.start_flow($1, jsonb_build_object('n', n))"
      READ = "SELECT msg_id FROM pgmq.read($1, #{LEASE_SECONDS}, $2::int)"
      CLAIM = "SELECT run_id, step_slug, task_index FROM pgflow.start_tasks($1, $2::bigint[], $3::uuid)"
      COMPLETE = "SELECT FROM pgflow.complete_task($1::uuid, $2, $3::int, '#{RESULT}')"
      COMPLETE_MANY = "SELECT count(*) FROM unnest($1::uuid[], $2::text[], $3::int[]) AS t(run, step, task), " \
                      "LATERAL pgflow.complete_task(t.run, t.step, t.task, '#{RESULT}')"

      def shapes = %w[chain-10 diamond-4 one wide-1000]
      def batches? = true

      def prepare(shape)
        call("SELECT FROM pgflow.create_flow($1)", slug(shape))
        Driver.steps(shape).each do |name, parents|
          call("SELECT FROM pgflow.add_step($1, $2, $3::text[])", slug(shape), slug(name), array(parents.map { |parent| slug(parent) }))
        end
        @worker = SecureRandom.uuid
        call("INSERT INTO pgflow.workers (worker_id, queue_name, function_name) VALUES ($1, $2, 'bench')", @worker, slug(shape))
      end

      def create(shape, count) = count.times { call(START, slug(shape)) }
      def create_in_batches(shape, count) = call(START_MANY, slug(shape), count)

      def work(shape, batch: 10)
        until_nothing_is_left(-> { claim(shape, batch) }) { |tasks| tasks.each { |task| call(COMPLETE, *task) }.size }
      end

      def work_in_batches(shape, batch: 50)
        until_nothing_is_left(-> { claim(shape, batch) }) do |tasks|
          call(COMPLETE_MANY, *tasks.transpose.map { |column| array(column) })
          tasks.size
        end
      end

      private

      def slug(name) = "bench_#{name.tr("-", "_")}"

      def claim(shape, batch)
        messages = call(READ, slug(shape), batch).flatten
        messages.empty? ? [] : call(CLAIM, slug(shape), array(messages), @worker)
      end
    end

    # Absurd: a task runs as a program that stores a checkpoint after each of its steps. It has no
    # graph, so a workflow of any shape is its steps one after the other.
    class Absurd < Driver
      QUEUE = "bench"
      SPAWN = "SELECT FROM absurd.spawn_task('#{QUEUE}', $1, '{}')"
      CLAIM = "SELECT task_id, run_id FROM absurd.claim_task('#{QUEUE}', 'bench', #{LEASE_SECONDS}, $1::int)"
      CHECKPOINTS = "SELECT * FROM absurd.get_task_checkpoint_states('#{QUEUE}', $1::uuid, $2::uuid)"
      STORE = "SELECT absurd.set_task_checkpoint_state('#{QUEUE}', $1::uuid, $3, '#{RESULT}', $2::uuid, #{LEASE_SECONDS})"
      FINISH = "SELECT absurd.complete_run('#{QUEUE}', $1::uuid, '#{RESULT}')"

      def prepare(_shape) = call("SELECT absurd.create_queue('#{QUEUE}')")
      def create(shape, count) = count.times { call(SPAWN, shape) }

      def work(shape, batch: 10)
        until_nothing_is_left(-> { call(CLAIM, batch) }) do |tasks|
          tasks.sum { |task, run| run_task(shape, task, run) }
        end
      end

      private

      def run_task(shape, task, run)
        names = Driver.steps(shape).map(&:first)
        if names.size > 1
          call(CHECKPOINTS, task, run)
          names.each { |name| call(STORE, task, run, name) }
        end
        call(FINISH, run)
        names.size
      end
    end

    # pgmq: messages without a graph.
    class Pgmq < Driver
      SEND = "SELECT pgmq.send('bench', '{}'::jsonb)"
      SEND_MANY = "SELECT count(*) FROM pgmq.send_batch('bench', array_fill('{}'::jsonb, ARRAY[$1::int]))"
      READ = "SELECT msg_id FROM pgmq.read('bench', #{LEASE_SECONDS}, $1::int)"
      ARCHIVE = "SELECT pgmq.archive('bench', $1::bigint)"
      ARCHIVE_MANY = "SELECT count(*) FROM pgmq.archive('bench', $1::bigint[])"

      def shapes = %w[one]
      def batches? = true
      def prepare(_shape) = call("SELECT pgmq.create('bench')")
      def create(_shape, count) = count.times { call(SEND) }
      def create_in_batches(_shape, count) = call(SEND_MANY, count)

      def work(_shape, batch: 10)
        until_nothing_is_left(-> { call(READ, batch).flatten }) { |ids| ids.each { |id| call(ARCHIVE, id) }.size }
      end

      def work_in_batches(_shape, batch: 50)
        until_nothing_is_left(-> { call(READ, batch).flatten }) { |ids| call(ARCHIVE_MANY, array(ids)) && ids.size }
      end
    end

    # DBOS Transact: a program whose library writes its progress. The statements are those of the
    # Python library's system database for a queued workflow and its steps. It has no graph either.
    class Dbos < Driver
      NOW = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
      ENQUEUE = <<~SQL
        INSERT INTO dbos.workflow_status (workflow_uuid, status, name, queue_name, inputs, recovery_attempts, priority, application_version)
        VALUES ($1, 'ENQUEUED', $2, 'bench', '{}', 0, 0, 'v1')
        ON CONFLICT (workflow_uuid) DO UPDATE SET updated_at = #{NOW} RETURNING status
      SQL
      PICK = <<~SQL
        SELECT workflow_uuid FROM dbos.workflow_status
        WHERE queue_name = 'bench' AND status = 'ENQUEUED' AND application_version = 'v1'
        ORDER BY priority, created_at LIMIT $1 FOR UPDATE SKIP LOCKED
      SQL
      START = <<~SQL
        UPDATE dbos.workflow_status SET status = 'PENDING', executor_id = 'bench', application_version = 'v1',
          started_at_epoch_ms = #{NOW}, updated_at = #{NOW}, recovery_attempts = recovery_attempts + 1
        WHERE workflow_uuid = ANY($1::text[]) AND status = 'ENQUEUED' RETURNING workflow_uuid
      SQL
      CHECK = ["SELECT status FROM dbos.workflow_status WHERE workflow_uuid = $1",
               "SELECT output, error, function_name FROM dbos.operation_outputs WHERE workflow_uuid = $1 AND function_id = $2"].freeze
      OWNER = "SELECT executor_id FROM dbos.workflow_status WHERE workflow_uuid = $1"
      STORE = <<~SQL
        INSERT INTO dbos.operation_outputs (workflow_uuid, function_id, function_name, output, started_at_epoch_ms, completed_at_epoch_ms)
        VALUES ($1, $2, $3, '#{RESULT}', #{NOW}, #{NOW})
        ON CONFLICT (workflow_uuid, function_id) DO UPDATE SET completed_at_epoch_ms = operation_outputs.completed_at_epoch_ms
        RETURNING completed_at_epoch_ms
      SQL
      FINISH = <<~SQL
        UPDATE dbos.workflow_status SET status = 'SUCCESS', output = '#{RESULT}', deduplication_id = NULL,
          updated_at = #{NOW}, completed_at = #{NOW} WHERE workflow_uuid = $1 AND status = 'PENDING'
      SQL

      def create(shape, count) = count.times { call(ENQUEUE, SecureRandom.uuid, shape) }

      def work(shape, batch: 10)
        until_nothing_is_left(-> { claim(batch) }) { |ids| ids.sum { |id| run_workflow(shape, id) } }
      end

      private

      def claim(batch)
        in_transaction do
          ids = call(PICK, batch).flatten
          ids.empty? ? [] : call(START, array(ids)).flatten
        end
      end

      def run_workflow(shape, id)
        names = Driver.steps(shape).map(&:first)
        names.each_with_index { |name, i| run_step(id, i + 1, name) }
        call(FINISH, id)
        names.size
      end

      def run_step(id, number, name)
        in_transaction do
          call(CHECK[0], id)
          call(CHECK[1], id, number)
        end
        in_transaction do
          call(OWNER, id)
          call(STORE, id, number, name)
        end
      end
    end
  end
end
