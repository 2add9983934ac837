# frozen_string_literal: true

module ModelTest
  # A reason of which only the beginning is fixed.
  Told = Struct.new(:beginning) do
    def ==(other) = other.is_a?(Json) && other.value["message"].start_with?(beginning)
  end

  # What a task knows of its steps that run as tasks of their own, and what it has to tell the task
  # for whose step it runs itself. The family passes it on.
  module Nesting
    # parent: the handle of the task for whose step it runs, and the name of that step;
    # disowned: it was cancelled because nobody waits for it
    attr_accessor :family, :handle, :parent, :nesting, :disowned

    # Its task ended, or could not be created.
    # @param results [Json, nil] of one that completed
    # @param reason [String, Told, nil] why it failed for good
    def end_as_task(step, results, reason, now)
      self.state = "in_progress" if state == "pending"
      step.state = reason ? "error" : "complete"
      step.results = results
      return settle(now) if reason.nil?

      step.own_error = reason.is_a?(Told) ? reason : Json.new({ "message" => reason })
      step.last_failure_at = now
      final_failure(step)
      settle(now)
    end

    # What passes to the step for which it runs: the results of the steps on which no other depends.
    def results_as_task
      sinks = template.steps.reject { |step| template.steps.any? { |other| other.parents.include?(step.name) } }
      Json.new({ "task_id" => handle.task_id,
                 "results" => sinks.to_h { |sink| [sink.name, steps.fetch(sink.name).results&.value] } })
    end

    # @return [Hash, nil] nil: it leads to no object
    def context_of_child(definition)
      wanted = definition.workflow[:context]
      return context.value if wanted.nil?
      return with_paths(wanted) unless wanted.keys == ["path"]

      found = at_path(wanted["path"])
      found if found.is_a?(Hash)
    end

    # The time that its context has at "at", if that is the one of this task's.
    def time_of_child(context_of_child) = context_of_child.key?("at") ? @at : nil

    # Steps that wait for tasks; resumed, it has them created.
    def launch_all = steps.values.select(&:as_task?).each { |step| family.resume(self, step) }

    # Its end, and what began in it, is told once all that ended at the same moment has.
    def tell_end
      family.ended(self) if @over
      @over = false
    end

    def tell_rest
      family.disown(@orphans.uniq, keep_failed: @failed_fast)
      @orphans = []
      @failed_fast = false
      launches, @launches = @launches, []
      launches.each { |step| family.launch(self, step) }
    end

    private

    def start_task(step, now)
      step.state = "in_progress"
      step.began_at = now
      @launches << step
    end

    def tell
      return if family.nil?

      tell_end
      tell_rest
    end

    # ---- the context of a child ----------------------------------------------

    def with_paths(value)
      case value
      when Hash then value.transform_values { |one| follow_path(one, :none) }.reject { |_, one| one == :none }
      when Array then value.map { |one| follow_path(one, nil) }
      else value
      end
    end

    def follow_path(value, missing)
      return with_paths(value) unless value.is_a?(Hash) && value.keys == ["path"]

      found = at_path(value["path"])
      found == :none ? missing : found
    end

    def at_path(path)
      of, name = path
      return context.value.fetch(name, :none) if of == "context"

      results = steps.fetch(name).results
      results.nil? ? :none : results.value
    end
  end
end
