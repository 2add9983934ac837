# frozen_string_literal: true

require_relative "model"

module ModelTest
  # How a task of the model should look through the functions that answer questions, as rows.
  class Views
    EXECUTION = {
      "paused" => "resume_task", "has_ready_steps" => "execute_ready_steps", "processing" => "wait_for_completion",
      "waiting_for_retry" => "wait_for_retry", "blocked_by_failures" => "handle_failures",
      "all_complete" => "finalize_task", "cancelled" => "none", "throttled" => "wait_for_limit", "scheduled" => "wait_for_schedule",
      "waiting_for_dependencies" => "wait_for_dependencies"
    }.freeze

    # @param ids [Hash{String => Integer}] workflow_step_id by the name of the step
    def initialize(task, task_id, ids, now)
      @task = task
      @task_id = task_id
      @ids = ids
      @now = now
    end

    def readiness = by_id { |step| readiness_of(step) }
    def workflow_steps = by_id { |step| workflow_step_of(step) }
    def levels = by_id { |step| { dependency_level: level(step) } }.map { |row| row.except(:task_id) }

    # Every step that one depends on, once, with its shortest distance.
    def ancestors(step)
      distances = distances_to(step)
      rows = by_id do |other|
        { name: other.name, distance: distances[other], current_state: other.state, results: other.results }
      end
      rows.select { |row| row[:distance] }
    end

    # The steps of get_task's document, whose keys are strings.
    def document_steps
      by_id do |step|
        { name: step.name, state: step.state, attempts: step.attempts, depends_on: step.definition.parents.sort,
          results: step.results&.value, child_task_id: step.child&.task_id, **progress(step) }
      end.map { |row| row.except(:task_id).transform_keys(&:to_s) }
    end

    def document_task = { "state" => @task.state, "parent_step_id" => @task.parent && @task.parent.first.ids.fetch(@task.parent.last) }

    def execution_context
      counts = counts_by_state
      done = counts["complete"] + counts["resolved_manually"]
      status = execution_status(counts)
      {
        task_id: @task_id, status: @task.state, total_steps: steps.size, pending_steps: counts["pending"],
        in_progress_steps: counts["in_progress"], completed_steps: done, failed_steps: counts["error"],
        ready_steps: ready_steps, execution_status: status, recommended_action: action(status),
        completion_percentage: Rational(Rational(10_000 * (done + counts["skipped"]), steps.size).round, 100),
        health_status: health, waiting_for_retry_steps: counts["waiting_for_retry"],
        cancelled_steps: counts["cancelled"], skipped_steps: counts["skipped"]
      }
    end

    private

    # Of a map whose instances were made.
    def progress(step)
      runs = step.instance? ? [] : @task.instances(step)
      return {} if runs.empty?

      { progress: { "total" => runs.size, "completed" => runs.count(&:done?), "failed" => runs.count { |run| run.state == "error" } } }
    end

    def action(status) = status == "paused" && !@task.paused ? "resume_namespace_or_template" : EXECUTION.fetch(status)
    def steps = @task.steps.values
    def counts_by_state = STEP_STATES.to_h { |state| [state, steps.count { |step| step.state == state }] }
    def ready_steps = steps.count { |step| @task.ready?(step, @now) }

    def by_id
      steps.map { |step| { workflow_step_id: @ids.fetch(step.name), task_id: @task_id, **yield(step) } }
           .sort_by { |row| row[:workflow_step_id] }
    end

    def readiness_of(step)
      {
        name: step.name, current_state: step.state, dependencies_satisfied: @task.satisfied?(step),
        retry_eligible: step.retry_eligible?, ready_for_execution: @task.ready?(step, @now),
        last_failure_at: step.last_failure_at, next_retry_at: next_retry_at(step),
        total_parents: step.definition.parents.size, completed_parents: @task.counted(step),
        attempts: step.attempts, max_attempts: step.definition.max_attempts,
        backoff_request_seconds: (step.asked if step.state == "waiting_for_retry"),
        **(step.maps? ? {} : { last_attempted_at: step.as_task? ? step.began_at : step.last_attempted_at })
      }
    end

    # The time a waiting step will not run before; none where it is a key that it waits for.
    def next_retry_at(step)
      return if step.aside
      return step.not_before if step.state == "waiting_for_retry"

      step.not_before if step.state == "pending" && step.not_before && step.not_before > @now
    end

    def workflow_step_of(step)
      {
        name: step.name, state: step.state, attempts: step.attempts, max_attempts: step.definition.max_attempts,
        priority: @task.step_priority(step), queue: step.definition.queue,
        lease_expires_at: step.claim&.lease_until, results: step.results,
        last_error: step.last_error, checkpoint: step.ended? ? nil : step.checkpoint
      }
    end

    def level(step) = @task.parents(step).map { |parent| level(parent) + 1 }.max || 0

    def distances_to(step, distance = 1, found = {})
      @task.parents(step).each do |parent|
        next if found[parent] && found[parent] <= distance

        found[parent] = distance
        distances_to(parent, distance + 1, found)
      end
      found
    end

    # The first that holds.
    def execution_status(counts)
      if (@task.paused && !@task.final?) || (@task.held_above? && %w[pending in_progress].include?(@task.state)) then "paused"
      elsif ready_steps.positive? then "has_ready_steps"
      elsif counts["in_progress"] > steps.count { |step| step.maps? || (step.as_task? && step.not_before > @now) } then "processing"
      elsif counts["waiting_for_retry"].positive? then "waiting_for_retry"
      elsif @task.state == "error" then "blocked_by_failures"
      elsif %w[complete resolved_manually].include?(@task.state) then "all_complete"
      elsif @task.state == "cancelled" then "cancelled"
      elsif steps.any?(&:aside) then "throttled"
      elsif @task.run_at && @task.run_at > @now then "scheduled"
      else "waiting_for_dependencies"
      end
    end

    def health
      return "healthy" if steps.none? { |step| step.blocks? || step.state == "waiting_for_retry" }

      @task.can_run? ? "recovering" : "blocked"
    end
  end
end
