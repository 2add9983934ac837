# frozen_string_literal: true

require_relative "driver"

module Bench
  module Neighbours
    # Queues of jobs in Rails applications: no graph, so one step a workflow. What is sent are the
    # statements that the library sends for a job that succeeds, as it is configured by default.
    class Jobs < Driver
      def shapes = %w[one]
      def create(_shape, count) = count.times { enqueue }

      def work(_shape, batch: 10)
        until_nothing_is_left(-> { claim(batch) }) { |jobs| jobs.each { |job| perform(*job) }.size }
      end
    end

    # Que: advisory locks; a job that is done is deleted.
    class Que < Jobs
      ENQUEUE = "INSERT INTO que_jobs (queue, priority, run_at, job_class, args, kwargs, data, job_schema_version) " \
                "VALUES ('default', 100, now(), 'Bench', '[]', '{}', '{}', 2) RETURNING *"
      # Its poller walks one job at a time in a recursive query; this is what that comes to for one worker.
      CLAIM = <<~SQL
        WITH jobs AS MATERIALIZED (
          SELECT * FROM que_jobs WHERE queue = 'default' AND job_schema_version = 2 AND priority <= 32767
            AND run_at <= now() AND finished_at IS NULL AND expired_at IS NULL ORDER BY priority, run_at, id LIMIT $1::int)
        SELECT id FROM jobs WHERE pg_try_advisory_lock(id)
      SQL
      CHECK = "SELECT 1 FROM que_jobs WHERE id = $1"
      DESTROY = "DELETE FROM que_jobs WHERE id = $1"
      UNLOCK = "SELECT pg_advisory_unlock($1)"

      private

      def enqueue = call(ENQUEUE)
      def claim(batch) = call(CLAIM, batch)
      def perform(id) = [CHECK, DESTROY, UNLOCK].each { |statement| call(statement, id) }
    end

    # GoodJob: one job at a time, under an advisory lock; the job and its execution are kept.
    class GoodJob < Jobs
      PROCESS = SecureRandom.uuid
      ENQUEUE = <<~SQL
        INSERT INTO good_jobs (queue_name, priority, serialized_params, scheduled_at, created_at, updated_at, active_job_id,
          is_discrete, executions_count, job_class)
        VALUES ('default', 0, '{"job_class": "Bench"}', now(), now(), now(), gen_random_uuid(), true, 0, 'Bench') RETURNING id
      SQL
      KEY = "('x' || substr(md5('good_jobs-' || %s), 1, 16))::bit(64)::bigint"
      CLAIM = <<~SQL
        WITH rows AS MATERIALIZED (
          SELECT id, active_job_id FROM good_jobs WHERE finished_at IS NULL AND (scheduled_at <= now() OR scheduled_at IS NULL)
          ORDER BY priority ASC NULLS LAST, created_at LIMIT 1)
        SELECT id, active_job_id FROM good_jobs
        WHERE id IN (SELECT id FROM rows WHERE pg_try_advisory_lock(#{format(KEY, "active_job_id::text")}) LIMIT 1)
      SQL
      RELOAD = "SELECT * FROM good_jobs WHERE id = $1"
      BEGIN_EXECUTION = <<~SQL
        INSERT INTO good_job_executions (created_at, updated_at, active_job_id, job_class, queue_name, serialized_params, scheduled_at, process_id)
        VALUES (now(), now(), $1, 'Bench', 'default', '{"job_class": "Bench"}', now(), '#{PROCESS}') RETURNING id
      SQL
      BEGIN_JOB = "UPDATE good_jobs SET performed_at = now(), executions_count = 1, locked_by_id = '#{PROCESS}', locked_at = now(), " \
                  "lock_type = 0, updated_at = now() WHERE id = $1"
      END_EXECUTION = "UPDATE good_job_executions SET finished_at = now(), duration = '1 ms', updated_at = now() WHERE id = $1"
      END_JOB = "UPDATE good_jobs SET finished_at = now(), locked_by_id = NULL, locked_at = NULL, lock_type = NULL, updated_at = now() " \
                "WHERE id = $1"
      UNLOCK = "SELECT pg_advisory_unlock(#{format(KEY, "$1::text")})"

      private

      def enqueue = call(ENQUEUE)

      # Its threads take one job each.
      def claim(_batch) = call(CLAIM)

      def perform(job, active_job)
        call(RELOAD, job)
        execution = in_transaction do
          call(BEGIN_EXECUTION, active_job).flatten.first.tap { call(BEGIN_JOB, job) }
        end
        in_transaction do
          call(END_EXECUTION, execution)
          call(END_JOB, job)
        end
        call(UNLOCK, active_job)
      end
    end

    # Solid Queue: a job moves from one table of executions to the next; the job is kept.
    class SolidQueue < Jobs
      INSERT_JOB = <<~SQL
        INSERT INTO solid_queue_jobs (queue_name, class_name, arguments, priority, active_job_id, scheduled_at, created_at, updated_at)
        VALUES ('default', 'Bench', '{"job_class": "Bench"}', 0, $1, now(), now(), now()) RETURNING id
      SQL
      INSERT_READY = "INSERT INTO solid_queue_ready_executions (job_id, queue_name, priority, created_at) " \
                     "VALUES ($1, 'default', 0, now()) RETURNING id"
      CANDIDATES = "SELECT id, job_id FROM solid_queue_ready_executions ORDER BY priority, job_id LIMIT $1::int FOR UPDATE SKIP LOCKED"
      INSERT_CLAIMED = "INSERT INTO solid_queue_claimed_executions (job_id, process_id, created_at) " \
                       "SELECT job_id, NULL, now() FROM unnest($1::bigint[]) AS j(job_id) ON CONFLICT DO NOTHING"
      READ_CLAIMED = "SELECT id, job_id FROM solid_queue_claimed_executions WHERE job_id = ANY($1::bigint[])"
      DELETE_READY = "DELETE FROM solid_queue_ready_executions WHERE id = ANY($1::bigint[])"
      READ_JOB = "SELECT * FROM solid_queue_jobs WHERE id = $1"
      LOCK_CLAIMED = "SELECT id FROM solid_queue_claimed_executions WHERE id = $1 FOR UPDATE"
      FINISH_JOB = "UPDATE solid_queue_jobs SET finished_at = now(), updated_at = now() WHERE id = $1"
      DELETE_CLAIMED = "DELETE FROM solid_queue_claimed_executions WHERE id = $1"

      private

      def enqueue
        in_transaction do
          job = call(INSERT_JOB, SecureRandom.uuid).flatten.first
          call(INSERT_READY, job)
        end
      end

      def claim(batch)
        in_transaction do
          ids, jobs = call(CANDIDATES, batch).transpose
          next [] unless ids

          call(INSERT_CLAIMED, array(jobs))
          call(READ_CLAIMED, array(jobs)).tap { call(DELETE_READY, array(ids)) }
        end
      end

      def perform(claimed, job)
        call(READ_JOB, job)
        in_transaction do
          call(LOCK_CLAIMED, claimed)
          call(FINISH_JOB, job)
          call(DELETE_CLAIMED, claimed)
        end
      end
    end
  end
end
