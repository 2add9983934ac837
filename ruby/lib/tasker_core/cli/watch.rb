# frozen_string_literal: true

module TaskerCore
  module CLI
    # `tasker task watch`: the task's graph with live states, how far it is, and how long runs of the
    # same template took that had come as far.
    class Watch
      FINAL = %w[complete error cancelled resolved_manually].freeze
      BAR = 30
      MARKS = { "complete" => "✓", "resolved_manually" => "✓", "in_progress" => "▶", "waiting_for_retry" => "↻",
                "error" => "✗", "cancelled" => "⊘", "skipped" => "»", "pending" => "·" }.freeze

      # What the past says about how long it will take still.
      # @param past [Array<Float>] seconds that complete runs took, ascending
      # @param elapsed [Float]
      # @return [String]
      def self.estimate(past, elapsed)
        return "no past runs to estimate from" if past.empty?

        longer = past.select { |seconds| seconds > elapsed }.map { |seconds| seconds - elapsed }
        runs = past.size == 1 ? "the one past run" : "all #{past.size} past runs"
        return "has taken longer than #{runs}" if longer.empty?

        "about #{duration(longer[(longer.size - 1) / 2])} left (#{longer.size} of #{past.size} past runs took longer " \
          "than this one so far: #{duration(longer.first)} to #{duration(longer.last)} more)"
      end

      # @return [String] seconds for people
      def self.duration(seconds)
        return format("%.1f s", seconds) if seconds < 10
        return "#{seconds.round} s" if seconds < 120
        return "#{(seconds / 60.0).round} min" if seconds < 7200

        format("%.1f h", seconds / 3600.0)
      end

      def initialize(operator, task_id, out)
        @operator = operator
        @task_id = task_id
        @out = out
        @past = nil
      end

      # @return [Integer] 0 when the task completed, 1 when it ended otherwise or time ran out
      def run(interval:, timeout: nil)
        deadline = timeout && now + timeout
        lines = 0
        before = nil
        loop do
          document = @operator.task(@task_id)
          lines, before = show(document, lines, before)
          state = document.dig("task", "state")
          return %w[complete resolved_manually].include?(state) ? OK : FORCED if FINAL.include?(state)
          return FORCED if deadline && now > deadline

          sleep(interval)
        end
      end

      private

      def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

      # Off a terminal only what changed is worth a line.
      def show(document, lines, before)
        states = document.fetch("steps").map { |step| step.values_at("workflow_step_id", "state", "attempts") }
        changed = [document.dig("task", "state"), states] != before
        if @out.json?
          @out.json(document.slice("task", "progress")) if changed
        elsif @out.terminal? || changed
          text = picture(document)
          @out.redraw(text, lines)
          lines = text.count("\n") + 1
        end
        [lines, [document.dig("task", "state"), states]]
      end

      def picture(document)
        task = document.fetch("task")
        steps = document.fetch("steps")
        depths = depths_of(steps)
        lines = steps.first(200).map { |step| step_line(step, depths.fetch(step.fetch("name"))) }
        lines << "  ... and #{steps.size - 200} more steps" if steps.size > 200
        ["task #{@task_id} #{@out.cell(task.fetch("task_name"))}: #{@out.paint(task.fetch("state"))}",
         *lines, bar(document.fetch("progress")), remaining(task, document.fetch("progress"))].compact.join("\n")
      end

      # Steps come in a topological order, so the parents of each are known.
      def depths_of(steps)
        steps.each_with_object({}) do |step, depths|
          depths[step.fetch("name")] = step.fetch("depends_on").map { |name| depths.fetch(name, 0) + 1 }.max || 0
        end
      end

      def step_line(step, depth)
        state = step.fetch("state")
        after = step.fetch("depends_on")
        text = "#{"  " * depth}#{MARKS.fetch(state, "?")} #{@out.cell(step.fetch("name"))}"
        text << " ← #{@out.cell(after)}" if after.size > 1
        text << "  #{state}" << (step.fetch("attempts").positive? ? ", attempt #{step.fetch("attempts")}" : "")
        "  #{@out.paint(text, state)}"
      end

      def bar(progress)
        percent = progress.fetch("completion_percentage").to_f
        full = (percent * BAR / 100).floor
        "[#{"#" * full}#{"." * (BAR - full)}] #{progress.fetch("completion_percentage")} %"
      end

      def remaining(task, progress)
        status = progress.fetch("execution_status")
        return if FINAL.include?(task.fetch("state"))
        return "#{status}: no estimate" if %w[paused blocked_by_failures scheduled].include?(status)

        @past ||= @operator.past_durations(@task_id)
        self.class.estimate(@past, Time.now - Time.iso8601(task["run_at"] || task.fetch("created_at")))
      end
    end
  end
end
