# frozen_string_literal: true

# A worker process of the gem: ruby gem_worker.rb URL NOTES. Each step writes its effect and its
# result in one transaction; afterwards, when the worker knows of the commit, it notes it in a file.

require "tasker_core"

URL, NOTES = ARGV

class BookEffect < TaskerCore::StepHandler::Base
  NOTEBOOK = File.open(NOTES, "a").tap { |file| file.sync = true }

  def process(_task, _sequence, step)
    value = Process.pid * 1_000_000 + (Process.clock_gettime(Process::CLOCK_MONOTONIC, :microsecond) % 1_000_000)
    step.transaction do |pg|
      pg.exec_params("INSERT INTO effects (step_id, value) VALUES ($1, $2)", [step.workflow_step_id, value])
      value
    end
    NOTEBOOK.write("#{step.workflow_step_id} #{value}\n") # one write, so no line is torn
    value
  end
end

retries = { "max_attempts" => 100, "backoff_base_ms" => 10, "max_backoff_ms" => 50 }
graph = { "a" => [], "b" => %w[a], "c" => %w[a], "d" => %w[b c] }
template = {
  "namespace" => "fault", "name" => "killed",
  "steps" => graph.map { |name, parents| { "name" => name, "depends_on" => parents, "retry" => retries, "handler" => { "callable" => "BookEffect" } } }
}
TaskerCore.register(template)
TaskerCore::Worker.new(connection: URL, concurrency: 3, lease: 2.0, poll_interval: 0.2, log: TaskerCore::Log.open($stderr, level: "error"))
                  .run(signals: true)
