# frozen_string_literal: true

module TaskerCore
  module CLI
    # `tasker step ...`; STEP is an id (42000003) or TASK:NAME (42:charge).
    module Commands
      ATTEMPT_COLUMNS = { attempt: "ATTEMPT", outcome: "OUTCOME", worker_id: "WORKER", claimed_at: "CLAIMED",
                          finished_at: "ENDED", error: "ERROR" }.freeze

      command "step show STEP", "one step with its attempts; STEP is an id or TASK:NAME" do |c|
        step = c.operator.step(c.step_id)
        c.out.json(step)
        unless c.out.json?
          c.out.fields(step.reject { |key, value| value.nil? || value == [] || value == {} || key == "attempt_history" || key == "moves" })
          c.out.say("")
          c.out.table(step.fetch("attempt_history").map { |row| row.transform_keys(&:to_sym) }, ATTEMPT_COLUMNS,
                      empty: "no attempt has ended")
          step.fetch("moves").each { |move| c.out.say("moved: #{c.out.cell(move, widest: nil)}") }
        end
      end

      command "step explain STEP", "why a step is not running, the most decisive reason first" do |c|
        c.out.table(c.operator.explain(c.step_id), { reason: "REASON", detail: "DETAIL" }, empty: "no reason known", widest: nil)
      end

      # @return [Integer] exit status
      def self.change_step(context, function, done, **arguments)
        id = context.step_id
        after = context.operator.rows(function, workflow_step_id: id, reason: context.options[:reason], **arguments).first
        context.out.json({ workflow_step_id: id, **after })
        context.out.say("step #{id}: #{done}; task #{after.fetch(:task_id)} is #{after.fetch(:task_state)}, " \
                        "#{after.fetch(:steps_ready)} steps ready")
        OK
      end

      command("step reset STEP", "pending again, its attempts start anew", **REASON) { |c| change_step(c, :reset_step, "reset") }
      command("step skip STEP", "not run, and neither is any that depends on it", **REASON) do |c|
        change_step(c, :skip_step, "skipped")
      end
      command("step resolve STEP JSON", "counts as done, its children run with this result", **REASON) do |c|
        change_step(c, :resolve_step, "resolved", results: c.json(c.arguments.fetch(1)))
      end
    end
  end
end
