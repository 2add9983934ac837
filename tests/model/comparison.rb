# frozen_string_literal: true

require_relative "server"
require_relative "views"

module ModelTest
  class Disagreement < StandardError; end

  # What answers have to look like.
  module Comparison
    module_function

    # @raise [Disagreement] unless the rows say at least what is expected, in this order
    def rows(what, expected, actual)
      unless expected.size == actual.size
        raise Disagreement, "#{what}: #{expected.size} rows expected, #{actual.size} came: #{actual.inspect}"
      end
      expected.zip(actual) { |wanted, row| row("#{what}, row #{row[:name] || row["name"] || row.values.first}", wanted, row) }
    end

    def row(what, expected, actual)
      wrong = expected.reject { |column, value| same?(value, actual.fetch(column)) }
      return if wrong.empty?

      raise Disagreement, "#{what}: " + wrong.map { |column, value|
        "#{column} is #{actual[column].inspect}, should be #{value.inspect}"
      }.join("; ")
    end

    def same?(expected, actual)
      expected.is_a?(Moment) ? expected.agrees?(actual) : expected == actual
    end
  end

  # Compares one task through every function that tells about it.
  class TaskComparison
    READINESS = "SELECT * FROM tasker.get_step_readiness_status($1)"
    FILTERED = "SELECT * FROM tasker.get_step_readiness_status($1, $2)"
    CONTEXT = "SELECT * FROM tasker.get_task_execution_context($1)"
    STEPS = "SELECT * FROM tasker.workflow_steps WHERE task_id OPERATOR(pg_catalog.=) $1::bigint " \
            "ORDER BY workflow_step_id"
    VERIFY = "SELECT * FROM tasker.verify_task($1)"
    LEVELS = "SELECT * FROM tasker.calculate_dependency_levels($1) ORDER BY workflow_step_id"
    REASONS = "SELECT reason FROM tasker.explain_step($1)"
    ANCESTORS = "SELECT * FROM tasker.get_step_transitive_dependencies($1) ORDER BY workflow_step_id"

    def initialize(server, handle, random)
      @server = server
      @handle = handle
      @random = random
    end

    def unknown
      Comparison.rows("readiness of #{@handle}, which does not exist", [], ask(READINESS))
      Comparison.rows("context of #{@handle}, which does not exist", [], ask(CONTEXT))
    end

    def with(task, now)
      views = Views.new(task, @handle.task_id, @handle.ids, now)
      readiness(views)
      Comparison.rows("get_task_execution_context(#{@handle})", [views.execution_context], ask(CONTEXT))
      Comparison.rows("workflow_steps of #{@handle}", views.workflow_steps, ask(STEPS))
      Comparison.rows("verify_task(#{@handle})", [], ask(VERIFY))
    end

    # What changes rarely, and is asked rarely.
    def graph(task, now)
      views = Views.new(task, @handle.task_id, @handle.ids, now)
      Comparison.rows("calculate_dependency_levels(#{@handle})", views.levels, ask(LEVELS))
      step = task.steps.values[@random.rand(task.steps.size)]
      Comparison.rows("get_step_transitive_dependencies(#{@handle}/#{step.name})", views.ancestors(step),
                      @server.rows(ANCESTORS, [@handle.ids.fetch(step.name)]))
      reasons = @server.rows(REASONS, [@handle.ids.fetch(step.name)]).map { |row| row[:reason] }
      raise Disagreement, "explain_step(#{@handle}/#{step.name}): #{reasons}" unless reasons.include?("runs_as_task") == step.as_task?

      document = @server.value("SELECT tasker.get_task($1)", [@handle.task_id]).value
      document["task"]["parent_step_id"] ||= nil
      document["task"]["held_by"] = document["task"]["held_by"]&.map { |pause| pause.fetch("paused") }&.sort
      Comparison.row("get_task(#{@handle}), task", views.document_task, document.fetch("task"))
      steps = document.fetch("steps").each do |row|
        row["depends_on"] = row["depends_on"].sort
        row["child_task_id"] ||= nil
      end
      Comparison.rows("get_task(#{@handle}), steps", views.document_steps, steps)
    end

    private

    def ask(sql) = @server.rows(sql, [@handle.task_id])

    # A filter never changes a row, only which rows come.
    def readiness(views)
      all = ask(READINESS)
      Comparison.rows("get_step_readiness_status(#{@handle})", views.readiness, all)
      ids = @handle.ids.values.select { @random.rand < 0.5 }.shuffle(random: @random)
      Comparison.rows("get_step_readiness_status(#{@handle}, #{ids})",
                      all.select { |row| ids.include?(row[:workflow_step_id]) },
                      @server.rows(FILTERED, [@handle.task_id, ids]))
    end
  end
end
