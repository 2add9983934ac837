# frozen_string_literal: true

module TaskerCore
  module CLI
    # `tasker task ...`
    module Commands
      TASK_COLUMNS = { task_id: "TASK", namespace: "NAMESPACE", task_name: "TEMPLATE", version: "VERSION",
                       state: "STATE", created_at: "CREATED", finished_at: "FINISHED" }.freeze
      STEP_COLUMNS = { workflow_step_id: "STEP", name: "NAME", state: "STATE", attempts: "ATTEMPTS",
                       started_at: "STARTED", finished_at: "FINISHED", depends_on: "AFTER", error: "ERROR" }.freeze
      REASON = { reason: ["-m", "--reason TEXT", String, "kept with the change"] }.freeze

      command "task create TEMPLATE", "create a task of NAME or NAMESPACE/NAME",
              context: ["-c", "--context JSON", String, "its context: JSON, @FILE, or - for stdin"],
              version: ["--template-version V", String, "instead of the highest"],
              idempotency_key: ["-k", "--key KEY", String, "the same key again answers with the same task"],
              priority: ["-p", "--priority N", Integer, "higher runs first (0)"],
              run_at: ["--run-at TIME", String, "not before this time"],
              tags: ["--tags A,B", Array, "to find it by"],
              reason: ["-m", "--reason TEXT", String, "why"] do |c|
        namespace, _, name = c.arguments.first.rpartition("/")
        given = c.options.slice(:version, :idempotency_key, :priority, :run_at, :tags, :reason)
        given[:context] = c.json(c.options[:context]) if c.options[:context]
        given[:namespace] = namespace unless namespace.empty?
        task = c.operator.rows(:create_task, name: name, **given).first
        c.out.json(task)
        c.out.say("task #{task.fetch(:task_id)}: #{task.fetch(:created) ? "created" : "exists already"}, " \
                  "#{task.fetch(:step_count)} steps, #{task.fetch(:state)}")
      end

      command "task list", "tasks, the newest first",
              state: ["-s", "--state STATE", String, "pending, in_progress, complete, error, cancelled, resolved_manually"],
              namespace: ["-n", "--namespace NAME", String, "of this namespace"],
              name: ["-t", "--template NAME", String, "of this template"],
              tag: ["--tag TAG", String, "with this tag"],
              correlation_id: ["--correlation-id UUID", String, "of this correlation"],
              created_after: ["--since TIME", String, "created since"],
              parent_task_id: ["--parent TASK_ID", Integer, "that run, or ran, for steps of this task"],
              limit: ["--limit N", Integer, "at most so many (50)"],
              before: ["--before TASK_ID", Integer, "the page before this task"] do |c|
        filters = c.options.slice(:state, :namespace, :name, :tag, :correlation_id, :created_after, :parent_task_id)
        rows = c.operator.tasks(filters, max_tasks: c.options.fetch(:limit, 50), before_task_id: c.options[:before])
        rows = rows.map { |row| row[:paused_at] ? row.merge(state: "#{row[:state]} (paused)") : row } unless c.out.json?
        c.out.table(rows, TASK_COLUMNS, empty: "no such task")
      end

      command "task show TASK_ID", "one task: its steps, and why those that wait do" do |c|
        task = c.operator.task(c.task_id)
        if c.out.json?
          c.out.json(task)
        else
          TaskReport.new(c.operator, task, c.out).print
        end
      end

      command "task watch TASK_ID", "draw a task while it runs; ends with it (exit 1 unless it completes)",
              interval: ["-i", "--interval SEC", Float, "between looks (1)"],
              timeout: ["--timeout SEC", Float, "give up after (never; exit 1)"] do |c|
        Watch.new(c.operator, c.task_id, c.out).run(interval: c.options.fetch(:interval, 1.0), timeout: c.options[:timeout])
      end

      # @return [Integer, nil] exit status
      def self.change_task(context, function, done, idle)
        id = context.task_id
        changed = context.operator.scalar(function, task_id: id, reason: context.options[:reason])
        context.out.json({ task_id: id, changed: changed })
        context.out.say("task #{id}: #{changed ? done : idle}")
        OK
      end

      command("task cancel TASK_ID", "cancel a task and every step that has not ended", **REASON) do |c|
        change_task(c, :cancel_task, "cancelled", "was cancelled already")
      end
      command("task pause TASK_ID", "no step of it is claimed until it is resumed", **REASON) do |c|
        change_task(c, :pause_task, "paused", "was paused already")
      end
      command("task resume TASK_ID", "end a pause", **REASON) do |c|
        change_task(c, :resume_task, "resumed", "was not paused")
      end

      command("task signal TASK_ID NAME [JSON]", "send a signal that a step waits for; the payload is its result (null)") do |c|
        payload = c.arguments[2] ? c.json(c.arguments[2]) : nil
        taken = c.operator.rows(:send_signal, task_id: c.task_id, name: c.arguments[1], payload: payload).first.each_value.first
        c.out.json({ task_id: c.task_id, taken: taken })
        c.out.say("task #{c.task_id}: #{taken ? "a step took it" : "kept for the step that will wait for it"}")
      end

      command("task retry TASK_ID", "a task in error goes on from its failed steps", **REASON) do |c|
        count = c.operator.scalar(:retry_task, task_id: c.task_id, reason: c.options[:reason])
        c.out.json({ task_id: c.task_id, steps: count })
        c.out.say(count.zero? ? "task #{c.task_id} is not in error: nothing to retry" : "task #{c.task_id}: #{count} steps are tried again")
      end
    end

    # A task for people: its head, its steps, and why those that wait do.
    class TaskReport
      HEAD = %w[state version priority created_at run_at started_at finished_at paused_at initiator source_system
                reason tags correlation_id idempotency_key parent_step_id].freeze
      ENDED = %w[complete cancelled skipped resolved_manually].freeze

      def initialize(operator, document, out)
        @operator = operator
        @task, @steps, @progress = document.values_at("task", "steps", "progress")
        @out = out
      end

      def print
        @out.say("task #{@task.fetch("task_id")}: #{@task.fetch("namespace")}/#{@task.fetch("task_name")}")
        @out.fields(@task.slice(*HEAD).compact)
        @out.fields("progress" => progress)
        @out.say("")
        @out.table(@steps.map { |step| row(step) }, Commands::STEP_COLUMNS)
        explain
      end

      private

      def progress
        "#{@progress.fetch("completion_percentage")} %, #{@progress.fetch("execution_status")}: " \
          "#{@progress.fetch("recommended_action")}"
      end

      def row(step)
        error = step["error"]
        step.transform_keys(&:to_sym).merge(error: error && (error.is_a?(Hash) && error["message"]) || error)
      end

      def explain
        waiting = @steps.reject { |step| ENDED.include?(step.fetch("state")) }
        return if waiting.empty?

        @out.say("")
        waiting.first(20).each do |step|
          reason = @operator.explain(step.fetch("workflow_step_id")).first
          @out.say("#{step.fetch("name")}: #{reason.fetch(:reason)}: #{reason.fetch(:detail)}") if reason
        end
        @out.say("... and #{waiting.size - 20} more that wait") if waiting.size > 20
      end
    end
  end
end
