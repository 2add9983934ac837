# frozen_string_literal: true

module OrderFulfillment
  # What happened, told by the database alone: nothing here is counted in Ruby.
  class Report
    ENDINGS = <<~SQL
      SELECT task.state, coalesce(attempt.error ->> 'error_code', '') AS reason, count(*) AS orders
      FROM shop.orders
      JOIN tasker.tasks task USING (task_id)
      LEFT JOIN tasker.step_attempts attempt ON attempt.task_id = task.task_id AND attempt.to_state = 'error'
      GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2
    SQL

    STEPS = <<~SQL
      SELECT step.name, count(*) FILTER (WHERE step.state = 'complete') AS complete,
             count(*) FILTER (WHERE step.state = 'error') AS error,
             count(*) FILTER (WHERE step.state = 'pending') AS pending,
             count(*) FILTER (WHERE step.state NOT IN ('complete', 'error', 'pending')) AS other
      FROM shop.orders JOIN tasker.workflow_steps step USING (task_id)
      GROUP BY step.step_no, step.name ORDER BY step.step_no
    SQL

    ATTEMPTS = <<~SQL
      SELECT count(*) FILTER (WHERE outcome = 'completed') AS completed,
             count(*) FILTER (WHERE outcome = 'failed' AND to_state = 'waiting_for_retry') AS tried_again,
             count(*) FILTER (WHERE outcome = 'failed' AND to_state = 'error') AS failed_for_good,
             count(*) FILTER (WHERE outcome = 'lease_expired') AS lost_with_a_worker
      FROM shop.orders JOIN tasker.step_attempts USING (task_id)
    SQL

    THROUGHPUT = <<~SQL
      SELECT count(DISTINCT task.task_id) AS tasks, count(*) AS steps,
             extract(epoch FROM max(attempt.finished_at) - min(task.created_at))::float8 AS seconds
      FROM shop.orders
      JOIN tasker.tasks task USING (task_id)
      JOIN tasker.step_attempts attempt ON attempt.task_id = task.task_id AND attempt.to_state <> 'waiting_for_retry'
    SQL

    def initialize(connection, out)
      @connection = connection
      @out = out
    end

    def print
      heading("Tasks per state, and why")
      table(%w[state reason orders], @connection.query(ENDINGS))
      heading("Steps per state")
      table(%w[step complete error pending other], @connection.query(STEPS))
      heading("Attempts")
      table(["completed", "failed, tried again", "failed for good", "lost with a worker"], @connection.query(ATTEMPTS))
      throughput(@connection.query(THROUGHPUT).first)
    end

    private

    def heading(text) = @out.puts("\n#{text}")

    def throughput(row)
      seconds = row.fetch(:seconds).to_f
      heading("Throughput")
      @out.puts(format("  %<tasks>d orders and %<steps>d steps in %<seconds>.1f s: %<rate>d steps/s",
                       **row.slice(:tasks, :steps), seconds: seconds, rate: row.fetch(:steps) / [seconds, 0.001].max))
    end

    def table(titles, rows)
      cells = [titles] + rows.map { |row| row.values.map(&:to_s) }
      widths = cells.transpose.map { |column| column.map(&:length).max }
      numbers = rows.first.to_h.values.map { |value| value.is_a?(Numeric) }
      cells.each do |line|
        @out.puts("  #{line.each_with_index.map { |cell, i| numbers[i] ? cell.rjust(widths[i]) : cell.ljust(widths[i]) }
                           .join("  ").rstrip}")
      end
    end
  end
end
