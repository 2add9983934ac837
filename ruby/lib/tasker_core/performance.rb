# frozen_string_literal: true

module TaskerCore
  # How things are going, for dashboards and consoles: each method is one report
  # of the extension, on {TaskerCore.client}.
  module Performance
    # Answer of {Performance.queue_depth}.
    QueueDepth = Value.define(:ready_steps, :in_progress_steps, :waiting_for_retry_steps, :pending_tasks,
                              :in_progress_tasks)

    class << self
      # @return [SystemHealth] exact counts of all tasks and steps by state
      def system_health = client.get_system_health_counts

      # @param since [Time, Numeric, nil] a time, or that many seconds ago; nil for the last hour
      # @return [AnalyticsMetrics]
      def analytics(since: nil) = client.get_analytics_metrics(since: time(since))

      # @return [TaskExecutionContext, nil] nil for an unknown task
      def task_execution_context(task_id) = client.get_task_execution_context(task_id)

      # @return [Array<StepReadiness>] the steps of a task that can be claimed now
      def viable_steps(task_id) = client.get_step_readiness_status(task_id).select(&:ready?)

      # @return [Hash{Integer => Integer}] how deep in the graph each step of a task is, roots 0
      def dependency_levels(task_id)
        client.calculate_dependency_levels(task_id).to_h { |row| [row.workflow_step_id, row.dependency_level] }
      end

      # @param since [Time, Numeric, nil] a time, or that many seconds ago; nil for the last 24 hours
      # @return [Array<SlowStep>]
      def slowest_steps(limit: 10, since: nil, **filters)
        client.get_slowest_steps(limit_count: limit, since: time(since), **filters)
      end

      # @see .slowest_steps
      # @return [Array<SlowTask>]
      def slowest_tasks(limit: 10, since: nil, **filters)
        client.get_slowest_tasks(limit_count: limit, since: time(since), **filters)
      end

      # @return [QueueDepth] what waits, and what is being worked on
      def queue_depth = QueueDepth.from_row(system_health.to_h)

      private

      def client = TaskerCore.client

      def time(since) = since.is_a?(Numeric) ? Time.now - since : since
    end
  end
end
