# frozen_string_literal: true

require "test_helper"

# What handlers return to decide and to cut batches, and what they are given.
class BatchableTest < UnitTest
  class Handler
    include TaskerCore::Batchable
  end

  def handler = Handler.new

  def test_decisions
    decision = TaskerCore::Decision
    assert_equal({ "branches" => %w[a b], "reason" => "big" }, decision.branches("a", :b, reason: "big"))
    assert_equal({ "branches" => ["a"] }, decision.branches(["a"]))
    assert_equal({ "branches" => [] }, decision.no_branches)
    assert_raises(ArgumentError) { decision.branches }
    assert_raises(ArgumentError) { decision.branches("a", branches: ["b"]) }
  end

  def test_cursors_cover_everything_once_and_evenly
    [[0, 3], [1, 3], [3, 3], [10, 3], [1_000_003, 7]].each do |total, workers|
      cursors = handler.create_cursor_configs(total, workers)
      ends = cursors.map { |cursor| cursor.values_at("start_cursor", "end_cursor") }
      assert_equal total, cursors.sum { |cursor| cursor["batch_size"] }
      assert_equal [workers, total].min, cursors.size
      assert_equal([0, *ends.map(&:last)], [*ends.map(&:first), total]) unless cursors.empty?
      assert_operator cursors.map { |cursor| cursor["batch_size"] }.minmax.reduce(:-).abs, :<=, 1 unless cursors.empty?
    end
    assert_equal({ "batch_id" => "002", "start_cursor" => 3, "end_cursor" => 6, "batch_size" => 3 },
                 handler.create_cursor_configs(10, 3)[1])
    assert_raises(ArgumentError) { handler.create_cursor_configs(-1, 1) }
    assert_raises(ArgumentError) { handler.create_cursor_configs(1, 0) }
  end

  def test_outcomes
    cursors = handler.create_cursor_configs(2, 2)
    assert_equal({ "source" => "file", "batch_processing_outcome" => {
                   "type" => "create_batches", "worker_template_name" => "load", "worker_count" => 2,
                   "cursor_configs" => cursors, "total_items" => 2
                 } }, handler.create_batches_outcome(worker_template_name: :load, cursor_configs: cursors,
                                                     total_items: 2, metadata: { source: "file" }))
    assert_equal({ "reason" => "empty", "batch_processing_outcome" => { "type" => "no_batches" } },
                 handler.no_batches_outcome(reason: "empty"))
    assert_raises(ArgumentError) do
      handler.create_batches_outcome(worker_template_name: "load", cursor_configs: [], total_items: 0)
    end
  end

  def step(inputs) = TaskerCore::Step.new(claim(inputs: inputs))

  def test_what_a_batch_worker_is_given
    inputs = { "cursor" => { "batch_id" => "001", "start_cursor" => 0, "end_cursor" => 5, "batch_size" => 5 },
               "batch_metadata" => { "checkpoint_interval" => 2, "cursor_field" => "id", "failure_strategy" => "fail" },
               "is_no_op" => false }
    context = handler.get_batch_context(step(inputs))
    assert_equal ["001", 0, 5, 5, 2, "id", "fail", false],
                 [context.batch_id, context.start_cursor, context.end_cursor, context.batch_size,
                  context.checkpoint_interval, context.cursor_field, context.failure_strategy, context.no_op?]
    assert_nil handler.handle_no_op_worker(step(inputs))
    assert_equal({ "batch_id" => "001", "no_op" => true, "items_processed" => 0 },
                 handler.handle_no_op_worker(step({ **inputs, "is_no_op" => true })))
    error = assert_raises(TaskerCore::PermanentError) { handler.get_batch_context(step(nil)) }
    assert_match(/step one has no batch/, error.message)
    assert_equal({ "file" => "x", "items_processed" => 5, "items_succeeded" => 4, "items_failed" => 1 },
                 handler.batch_worker_success(items_processed: 5, items_succeeded: 4, items_failed: 1,
                                              metadata: { file: "x" }))
  end

  def test_gathering
    outcome = handler.create_batches_outcome(worker_template_name: "load", total_items: 2,
                                             cursor_configs: handler.create_cursor_configs(2, 2))
    sequence = TaskerCore::StepSequence.new({ "cut" => outcome, "load" => [{ "n" => 1 }, { "n" => 2 }], "other" => 9 })
    scenario = handler.detect_aggregation_scenario(sequence, "cut", "load")
    assert_equal [:with_batches, 2, outcome], [scenario.type, scenario.worker_count, scenario.batchable_result]
    sum = handler.aggregate_batch_worker_results(scenario) do |results|
      { total: results.sum { |_name, result| result["n"] } }
    end
    assert_equal({ "total" => 3, "worker_count" => 2 }, sum)
    assert_equal({ "load_001" => { "n" => 1 }, "load_002" => { "n" => 2 } }, scenario.results)
    none = TaskerCore::StepSequence.new({ "load" => [] })
    scenario = handler.detect_aggregation_scenario(none, "cut", "load")
    assert_predicate scenario, :no_batches?
    assert_equal({ "total" => 0, "worker_count" => 0 },
                 handler.aggregate_batch_worker_results(scenario, zero_metrics: { total: 0 }) { flunk })
  end

  def test_a_yield_outside_of_a_worker
    error = assert_raises(TaskerCore::Error) { handler.checkpoint_yield(step(nil), cursor: 3, items_processed: 3) }
    assert_match(/only possible inside a worker/, error.message)
  end
end
