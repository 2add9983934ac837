# frozen_string_literal: true

require "active_job"
require "tasker_core"

module ActiveJob
  module QueueAdapters
    # ActiveJob on tasker_core: `config.active_job.queue_adapter = :tasker_core`.
    #
    # A job is a task of one step, of the template active_job/QUEUE, created on
    # {TaskerCore.connection}: with ActiveRecord's, in the transaction that is open.
    # Which errors are tried again is said by the job's retry_on and discard_on;
    # what they let pass fails for good. A job whose worker died is run again.
    class TaskerCoreAdapter < (defined?(AbstractAdapter) ? AbstractAdapter : Object)
      # Namespace of the templates.
      NAMESPACE = "active_job"
      # How often a job may lose its worker.
      MAX_ATTEMPTS = 5

      # Runs one job.
      class Handler < TaskerCore::StepHandler::Base
        # @see TaskerCore::StepHandler::Base#process
        def process(task, _sequence, _step)
          ::ActiveJob::Base.execute(task.context)
          nil
        rescue StandardError => e
          raise TaskerCore::PermanentError.new("#{e.class}: #{e.message}", error_code: e.class.name,
                                                                           context: { backtrace: e.backtrace&.first(20) })
        end
      end

      class << self
        # @return [Hash] the template of a queue
        def template(queue)
          { name: queue, namespace: NAMESPACE, description: "Jobs of ActiveJob's queue #{queue}",
            steps: [{ name: "perform", handler: { callable: Handler.name },
                      retry: { max_attempts: MAX_ATTEMPTS, backoff: "none" } }] }
        end

        # Lets a worker of this registry serve the queues.
        # @param registry [TaskerCore::Registry]
        # @param queues [Array<String>]
        def register(registry, queues) = queues.each { |queue| registry.register(template(queue.to_s)) }
      end

      # @param job [ActiveJob::Base]
      def enqueue(job) = create(job, nil)

      # @param job [ActiveJob::Base]
      # @param timestamp [Numeric] seconds since 1970
      def enqueue_at(job, timestamp) = create(job, Time.at(timestamp))

      # All or none.
      # @param jobs [Array<ActiveJob::Base>]
      # @return [Integer] how many
      def enqueue_all(jobs)
        TaskerCore.client.transaction do
          jobs.each { |job| create(job, job.scheduled_at && Time.at(job.scheduled_at.to_f)) }
        end
        jobs.each { |job| job.successfully_enqueued = true }
        jobs.size
      end

      # The task commits or rolls back with the transaction it is created in.
      # @return [Boolean] false
      def enqueue_after_transaction_commit? = false

      private

      # By its definition, so that no registration has to come first. A job's
      # lower number runs first, a task's higher one does.
      def create(job, run_at)
        task = TaskerCore.client.create_task_from_definition(
          self.class.template(job.queue_name), context: job.serialize, run_at: run_at,
                                               priority: job.priority && -job.priority, source_system: "active_job"
        )
        job.provider_job_id = task.task_id
        task
      end
    end
  end
end
