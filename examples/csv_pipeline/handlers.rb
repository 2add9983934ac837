# frozen_string_literal: true

# Handlers of the template csv_inventory:
#   tasker worker -r ./handlers.rb --url postgresql:///shop
require "csv"
require "tasker_core"

module CsvPipeline
  FILE = File.expand_path("products.csv", __dir__)

  # How many rows there are decides how many batches; their size is in the template, or in the task's context.
  class Analyze < TaskerCore::StepHandler::Base
    include TaskerCore::Batchable

    def process(task, _sequence, step)
      rows = CSV.foreach(task.context.fetch("file", FILE), headers: true).count
      return no_batches_outcome(reason: "an empty file") if rows.zero?

      size = task.context.fetch("batch_size") { step.inputs.fetch("batch_config").fetch("batch_size") }
      create_batches_outcome(worker_template_name: "import_batch", total_items: rows,
                             cursor_configs: create_cursor_configs(rows, (rows + size - 1) / size))
    end
  end

  # Rows and checkpoint commit together: whoever takes over a batch goes on behind the last row that is there.
  class Import < TaskerCore::StepHandler::Base
    include TaskerCore::Batchable

    INSERT = <<~SQL
      INSERT INTO example_products SELECT $1, sku, price_cents, stock, $2
      FROM json_to_recordset($3) AS row(sku text, price_cents int, stock int)
    SQL

    def process(task, _sequence, step)
      batch = get_batch_context(step)
      cursor = step.checkpoint ? step.checkpoint.fetch("cursor") : batch.start_cursor
      while cursor < batch.end_cursor
        cursor = import(task, step, cursor, [cursor + batch.checkpoint_interval, batch.end_cursor].min)
        sleep(task.context.fetch("pause", 0))
      end
      batch_worker_success(items_processed: batch.end_cursor - batch.start_cursor)
    end

    private

    def import(task, step, from, to)
      rows = CSV.foreach(task.context.fetch("file", FILE), headers: true).lazy.drop(from).first(to - from).map(&:to_h)
      step.checkpoint do |connection|
        connection.exec_params(INSERT, [task.task_id, Process.pid, JSON.generate(rows)])
        { "cursor" => to }
      end
      to
    end
  end

  # The batch workers' results stand in the order of the batches.
  class Summarize < TaskerCore::StepHandler::Base
    include TaskerCore::Batchable

    def process(_task, sequence, _step)
      scenario = detect_aggregation_scenario(sequence, "analyze_csv", "import_batch")
      aggregate_batch_worker_results(scenario, zero_metrics: { "items_processed" => 0 }) do |results|
        { "items_processed" => results.each_value.sum { |result| result.fetch("items_processed") } }
      end
    end
  end
end

TaskerCore.register(File.expand_path("inventory.yaml", __dir__))
