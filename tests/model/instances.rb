# frozen_string_literal: true

require "json"

module ModelTest
  # What a task knows of maps and batches: steps that run once for each element of an array, or for
  # each batch that their batchable step named.
  module Instances
    def instances(map) = steps.values.select { |step| step.map == map.name }

    private

    # ---- they begin ----------------------------------------------------------

    def start_map(map, now)
      map.begins_at = map.not_before
      map.not_before = nil
      items = items_of(map.definition.map)
      return fail_map(map, now, "there is nothing at #{map_path(map)} to map over") if items == :none
      return fail_map(map, now, "#{map_path(map)} is no array to map over, but #{description(items)}") unless items.is_a?(Array)
      return fail_map(map, now, "TC023: the array has #{items.size} elements, the limit is #{@width}") if @width && items.size > @width

      map.state = "in_progress"
      items.each_with_index do |item, i|
        instance = Step.new(map.definition, map: map.name, inputs: inputs(map.definition.map, items, i, item), index: i)
        steps[instance.name] = instance
      end
    end

    def items_of(map)
      parent = steps[map[:of]]
      return batches_of(parent, parent.results) if map[:config]

      root = if map[:of] == "context.list" then context.value.fetch("list", :none)
             else parent.results ? parent.results.value : :none
             end
      map[:inside].reduce(root) do |value, part|
        case value
        when Hash then value.fetch(part.to_s, :none)
        when Array then part.is_a?(Integer) ? value.fetch(part, :none) : :none
        else :none
        end
      end
    end

    # What an instance runs for.
    def inputs(map, items, index, item)
      return { "index" => index, "count" => items.size, "item" => item } if map[:config].nil?

      { "cursor" => item, "is_no_op" => false, "batch_metadata" => {
        "checkpoint_interval" => map[:config]["checkpoint_interval"], "cursor_field" => map[:config]["cursor_field"],
        "failure_strategy" => map[:strategy]
      } }
    end

    def map_path(map)
      of, inside = map.definition.map.values_at(:of, :inside)
      parts = (of == "context.list" ? %w[context list] : ["results", of]) + inside.map(&:to_s)
      map.definition.map[:spelt_out] ? Jsonb.text(parts) : parts.join(".")
    end

    def description(value) = value.is_a?(Hash) ? "an object" : JSON.generate(value)

    def fail_map(map, now, reason)
      map.state = "error"
      map.own_error = Json.new({ "message" => reason })
      map.last_failure_at = now
    end

    # ---- batches -------------------------------------------------------------

    # @return [Array<Hash>, nil] the cursors; nil: the results do not say, or what they say is not so
    def batches_of(batchable, results)
      return [] if results.nil?

      outcome = results.value["batch_processing_outcome"] if results.value.is_a?(Hash)
      return unless outcome.is_a?(Hash)
      return [] if outcome["type"] == "no_batches"

      outcome["cursor_configs"] if outcome["type"] == "create_batches" && true_of?(outcome, batchable)
    end

    def true_of?(outcome, batchable)
      cursors = outcome["cursor_configs"]
      return false unless cursors.is_a?(Array) && cursors.any? && cursors.all?(Hash) && cursors.size <= (@width || cursors.size)

      worker = template.batch_worker(batchable.name)
      total = outcome.fetch("total_items", 0)
      outcome.fetch("worker_template_name", worker.name) == worker.name &&
        outcome.fetch("worker_count", cursors.size) == cursors.size && total.is_a?(Integer) && !total.negative?
    end

    # ---- they run ------------------------------------------------------------

    # A map ends with the last of its instances; until then others take the places of those that ended.
    def run_map(map, now)
      map.state = "in_progress"
      map.begins_at ||= [now, run_at].compact.max + (map.definition.delay || 0)
      runs = instances(map)
      return admit(map, runs.reject(&:ended?), now) if runs.any? { |step| !step.ended? || step.blocks? }

      end_map(map, runs.map(&:results), now)
      0
    end

    def end_map(map, results, now)
      bytes = results.compact.sum { |one| Jsonb.text(one.value).bytesize }
      return fail_map(map, now, "TC023: the results of its #{results.size} instances have #{bytes} bytes, the limit is #{@bytes}") if @bytes && bytes > @bytes

      map.state = "complete"
      map.results = Json.new(results.map { |one| one&.value })
    end

    def admit(map, open, now)
      waiting = open.reject(&:placed)
      waiting = waiting.first([map.definition.map[:parallelism] - (open - waiting).size, 0].max) if map.definition.map[:parallelism]
      waiting.each { |step| step.placed = true }
      due = open.select { |step| step.placed && !step.begun? }
      due.each do |step|
        delayed = [now, run_at].compact.max + (step.again && map.definition.delay || 0)
        step.not_before = [delayed, map.begins_at].max
      end
      open.each { |step| step.again = false }
      due.size
    end

    # Its map has ended without them; what failed blocks nothing any more.
    def cancel_instances(map)
      instances(map).each do |step|
        next if step.ended? && !step.blocks?

        step.state = "cancelled"
        step.claim = nil
      end
    end
  end
end
