# frozen_string_literal: true

module TaskerCore
  # For handlers of batches: the step of type `batchable` that cuts them, the
  # batch workers that run them, and the step that gathers what they did. Names
  # and results are those of the Tasker family; the extension makes the workers.
  #
  #   class Cut
  #     include TaskerCore::Batchable
  #
  #     def process(task, _sequence, _step)
  #       total = Row.count
  #       return no_batches_outcome(reason: "nothing to do") if total.zero?
  #
  #       create_batches_outcome(worker_template_name: "load", total_items: total,
  #                              cursor_configs: create_cursor_configs(total, 4))
  #     end
  #   end
  module Batchable
    # What a batch worker has to do: the items from `start_cursor` up to, but
    # not with, `end_cursor`.
    BatchContext = Value.define(:batch_id, :start_cursor, :end_cursor, :batch_size, :checkpoint_interval,
                                :cursor_field, :failure_strategy, :no_op) do
      def no_op? = no_op
    end

    # What an aggregator finds: `type` is :no_batches or :with_batches; `results` the workers' by name.
    AggregationScenario = Value.define(:type, :batchable_result, :results) do
      def no_batches? = type == :no_batches
      def worker_count = results.size
    end

    # Cuts items 0 … total_items into as many even parts, none of them empty.
    #
    # @param total_items [Integer]
    # @param worker_count [Integer] at most so many
    # @return [Array<Hash>]
    def create_cursor_configs(total_items, worker_count)
      raise ArgumentError, "total_items must not be negative: #{total_items}" if total_items.negative?
      raise ArgumentError, "worker_count must be positive: #{worker_count}" unless worker_count.positive?

      workers = [worker_count, total_items].min
      Array.new(workers) do |index|
        first = index * total_items / workers
        last = (index + 1) * total_items / workers
        { "batch_id" => format("%03d", index + 1), "start_cursor" => first, "end_cursor" => last,
          "batch_size" => last - first }
      end
    end

    # @param worker_template_name [String] the step of type `batch_worker`
    # @param cursor_configs [Array<Hash>] one a worker; see {#create_cursor_configs}
    # @param metadata [Hash] whatever else the result is to hold
    # @return [Hash] the result of a batchable step
    def create_batches_outcome(worker_template_name:, cursor_configs:, total_items:, metadata: {})
      raise ArgumentError, "no cursor_configs: say no_batches_outcome" if cursor_configs.empty?

      { **metadata.transform_keys(&:to_s),
        "batch_processing_outcome" => {
          "type" => "create_batches", "worker_template_name" => worker_template_name.to_s,
          "worker_count" => cursor_configs.size, "cursor_configs" => cursor_configs, "total_items" => total_items
        } }
    end

    # @param reason [String, nil]
    # @param metadata [Hash] whatever else the result is to hold
    # @return [Hash] the result of a batchable step that has nothing to hand out
    def no_batches_outcome(reason: nil, metadata: {})
      { **metadata.transform_keys(&:to_s), **{ "reason" => reason }.compact,
        "batch_processing_outcome" => { "type" => "no_batches" } }
    end

    # @param step [Step] of a batch worker
    # @return [BatchContext]
    # @raise [PermanentError] when the step is no batch worker's
    def get_batch_context(step)
      inputs = step.inputs
      unless inputs.is_a?(Hash) && inputs["cursor"].is_a?(Hash)
        raise PermanentError.new("step #{step.name} has no batch in its inputs", error_code: "NO_BATCH")
      end

      cursor = inputs["cursor"]
      metadata = inputs["batch_metadata"] || {}
      BatchContext.new(
        batch_id: cursor["batch_id"], start_cursor: cursor["start_cursor"], end_cursor: cursor["end_cursor"],
        batch_size: cursor["batch_size"], checkpoint_interval: metadata["checkpoint_interval"],
        cursor_field: metadata["cursor_field"], failure_strategy: metadata["failure_strategy"],
        no_op: inputs["is_no_op"] == true
      )
    end

    # @return [Hash, nil] the result of a worker that has nothing to do; nil for one that has
    def handle_no_op_worker(step)
      context = get_batch_context(step)
      return unless context.no_op?

      { "batch_id" => context.batch_id, "no_op" => true, "items_processed" => 0 }
    end

    # @param metadata [Hash] whatever else the result is to hold
    # @return [Hash] the result of a batch worker
    def batch_worker_success(items_processed:, items_succeeded: items_processed, items_failed: 0, metadata: {})
      { **metadata.transform_keys(&:to_s), "items_processed" => items_processed,
        "items_succeeded" => items_succeeded, "items_failed" => items_failed }
    end

    # Stores how far a batch worker has come and gives its step back; ends the
    # handler. The next claim finds it in {Step#checkpoint}.
    def checkpoint_yield(step, cursor:, items_processed:, accumulated_results: nil)
      step.yield!({ "cursor" => cursor, "items_processed" => items_processed,
                    "accumulated_results" => accumulated_results })
    end

    # @param sequence [StepSequence] parents of the aggregator: the batch worker, perhaps the batchable step too
    # @param batchable_step [String]
    # @param worker_name [String] name of the batch worker's step in the template; its result is the array of its
    #   instances' results, which are here by their names: worker_001, ...
    # @return [AggregationScenario]
    def detect_aggregation_scenario(sequence, batchable_step, worker_name)
      batchable = sequence.find_step_by_name(batchable_step)&.results
      results = Array(sequence.find_step_by_name(worker_name)&.results)
      results = results.each_with_index.to_h { |result, index| [format("%s_%03d", worker_name, index + 1), result] }
      none = results.empty? || (batchable.is_a?(Hash) &&
                                batchable.dig("batch_processing_outcome", "type") == "no_batches")
      AggregationScenario.new(type: none ? :no_batches : :with_batches, batchable_result: batchable,
                              results: none ? {} : results)
    end

    # @param zero_metrics [Hash] the result where there were no batches
    # @yieldparam results [Hash{String => Object}] the workers' results by name
    # @return the block's value, or the zero metrics; both with the number of workers
    def aggregate_batch_worker_results(scenario, zero_metrics: {})
      return no_batches_aggregation_result(zero_metrics) if scenario.no_batches?

      { **yield(scenario.results).transform_keys(&:to_s), "worker_count" => scenario.worker_count }
    end

    # @return [Hash]
    def no_batches_aggregation_result(zero_metrics = {})
      { **zero_metrics.transform_keys(&:to_s), "worker_count" => 0 }
    end
  end
end
