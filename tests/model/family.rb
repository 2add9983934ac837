# frozen_string_literal: true

require_relative "model"

module ModelTest
  # What tasks and those that run for their steps have to tell each other. It is passed on one after
  # the other: what one thing leads to comes after all that was to be told before.
  class Family
    NOBODY = "none such"        # the name of a template that there is not
    DEEPEST = 3                 # tasker_core.max_nesting

    attr_accessor :now
    # @return [Array<Handle>] of tasks that were changed since it was asked last
    attr_reader :touched

    # @param world [World] with what is committed: nobody has an open transaction on these tasks
    # @param templates [Hash{Template => Hash}] step_no by name
    # @yield [workflow_step_id, count] @yieldreturn [Integer, nil] the task_id of the so-and-so-many-eth child of a step
    def initialize(world, templates, tally, width: nil, &find)
      @world = world
      @templates = templates
      @tally = tally
      @width = width
      @find = find
      @errands = []
      @working = false
      @touched = []
      @children = Hash.new(0)
    end

    def take_touched = @touched.tap { @touched = [] }

    # @return [Handle] of a task that was created just now
    def adopt(task, handle)
      task.family = self
      task.handle = handle
      task.nesting ||= 0
      @world.add_committed(handle, task)
      @touched << handle
      began(task) unless task.state == "pending"
      task.tell_end
      task.tell_rest
      handle
    end

    # ---- what there is to tell -----------------------------------------------

    # The turn of a step has come.
    def launch(task, step) = later { begin_child(task, step) }

    # The same, after a pause of the task.
    def resume(task, step)
      @tally.count("sub-workflows: waited for the end of a pause") if step.child.nil? || of(step.child).state == "cancelled"
      launch(task, step)
    end

    # A task has begun, and with it, at the latest, that for whose step it runs.
    def began(task) = task.parent && later { start(parent_of(task).first) }

    # A task has come to an end that may not be its last.
    def ended(task) = task.parent && !task.disowned && later { bring_result(task) }

    # A task goes on that was in error.
    def goes_on(task) = task.parent && later { attach(task) }

    # Steps have no use any more for the tasks that run for them.
    def disown(steps, keep_failed: false)
      children = steps.filter_map(&:child).reject { |child| of(child).final? || (keep_failed && of(child).state == "error") }
      children.each { |child| later { cancel(child) } }
    end

    private

    def of(handle) = @world.committed(handle)

    # Something is done to a task, of which the tally hears.
    def on(task, what)
      @touched << task.handle
      @tally.count("sub-workflows: #{what}")
    end

    def later(&errand)
      @errands << errand
      return if @working

      begin
        @working = true
        @errands.shift.call until @errands.empty?
      ensure
        @working = false
        @errands.clear
      end
    end

    # ---- from parent to child ------------------------------------------------

    def begin_child(task, step)
      return if !step.as_task? || task.paused

      child = step.child && of(step.child)
      if child.nil? || child.state == "cancelled" then create(task, step)
      elsif child.state == "error" then later { try_again(child) }
      elsif child.final?
        on(task, "result of before taken")
        take(task, step, child)
      end
    end

    # One that cannot be created fails its step.
    def create(task, step)
      template = find_template(task.template, step.definition.workflow)
      context = task.context_of_child(step.definition)
      reason = obstacle(task, template, context)
      on(task, reason ? "not created" : "created, #{task.nesting + 1} deep")
      return task.end_as_task(step, nil, reason, now) if reason

      step_id = task.handle.ids.fetch(step.name)
      task_id = @find.call(step_id, @children[step_id] += 1)
      raise Disagreement, "no task was created for step #{step.name} of #{task.handle}" if task_id.nil?

      handle = Handle.new(@world.handles.size + 1, task_id, template, @templates.fetch(template))
      step.child = handle
      adopt(child_of(task, step, template, context), handle)
    end

    def child_of(task, step, template, context)
      run_at = step.not_before if step.not_before > now
      child = Task.new(template, now, @templates.fetch(template), priority: task.step_priority(step), run_at: run_at,
                       context: Json.new(context), at: task.time_of_child(context), width: @width, holds: @world.holds)
      child.parent = [task.handle, step.name]
      child.nesting = task.nesting + 1
      child
    end

    # The highest version where none is named; they stand in order.
    def find_template(parent, workflow)
      @templates.keys.reverse.find do |template|
        template.namespace == parent.namespace && template.name == workflow[:name] &&
          [nil, template.version].include?(workflow[:version])
      end
    end

    def obstacle(task, template, context)
      return Told.new("its task could not be created: the depth of nested") if task.nesting >= DEEPEST
      return Told.new("its task could not be created: template ") if template.nil?

      return Told.new("its task could not be created: workflow.context leads to no JSON object") if context.nil?

      Told.new("its task could not be created: ") if template.needs && !context.key?(template.needs)
    end

    def try_again(child)
      on(child, "retried with the parent")
      child.retry(now)
    end

    def cancel(handle)
      child = of(handle)
      return if child.final?

      on(child, "cancelled with the parent or its step")
      child.disowned = true
      child.cancel
    end

    # ---- from child to parent ------------------------------------------------

    # @return [Array(Task, Step)] the task for whose step a task runs, and the step
    def parent_of(task)
      handle, name = task.parent
      parent = of(handle)
      [parent, parent.steps.fetch(name)]
    end

    def start(task)
      return unless task.state == "pending"

      on(task, "begins with its task")
      task.state = "in_progress"
    end

    def bring_result(child)
      task, step = parent_of(child)
      take(task, step, child) if step.as_task? && step.child == child.handle && ended?(child)
    end

    def ended?(task) = task.final? || task.state == "error"

    def take(task, step, child)
      on(task, "ended #{child.state}")
      case child.state
      when "complete", "resolved_manually" then take_results(task, step, child)
      when "error" then task.end_as_task(step, nil, "task #{child.handle.task_id} ended in error", now)
      when "cancelled" then task.move_step(step, "cancelled", now)
      end
    end

    def take_results(task, step, child)
      return task.end_as_task(step, child.results_as_task, nil, now) unless step.definition.workflow[:fits] == false

      task.end_as_task(step, nil, "the results of task #{child.handle.task_id} do not match the result_schema of the step", now)
    end

    # The step failed with it, and goes on with it if nothing else was made of it.
    def attach(child)
      task, step = parent_of(child)
      return if task.final? || !step.blocks? || step.child != child.handle || ended?(child)

      on(task, "step goes on with its task")
      task.move_step(step, "pending", now)
    end
  end
end
