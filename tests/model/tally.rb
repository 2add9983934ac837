# frozen_string_literal: true

module ModelTest
  # How often something was really done, of what takes luck to come about: a test of which nothing
  # is hit can pass for ever.
  class Tally
    attr_reader :counts

    def initialize
      @counts = Hash.new(0)
    end

    def add(other) = other.counts.each { |what, count| @counts[what] += count }
    def count(what, times = 1) = @closed || @counts[what] += times

    # What is done to bring all to an end does not count.
    def close = @closed = true
    def lines = @counts.sort.map { |what, count| "#{what}: #{count}" }

    # @param outcome [Symbol, Integer] what a completion came to
    def result(step, results, outcome)
      completed = outcome == :completed || outcome.is_a?(Integer)
      return count("#{kind(step)} completed") if step.instance? && completed
      return unless step.definition.batches && !step.instance?

      count("outcomes of batchable steps refused") if outcome == :invalid_result
      named(results) if completed
    end

    def claim(step)
      count("#{kind(step)} claimed#{" with a checkpoint" if step.checkpoint}") if step.instance?
    end

    def checkpoint(step, yields)
      count("#{kind(step)} #{yields ? "yielded" : "stored a checkpoint"}") if step.instance?
    end

    # Of one that was made.
    def move(step, from, to)
      count("#{kind(step)} moved #{from} to #{to}") if step.instance? || step.definition.map
      count("step that runs as a task moved #{from} to #{to}") if step.definition.workflow
      named(step.results) if step.definition.batches && !step.instance? && to == "resolved_manually"
    end

    def refusal(step, error)
      count("outcomes of batchable steps refused by hand") if step.definition.batches && error.sqlstate == "TC022"
      count("moves of steps that run as tasks refused") if step.definition.workflow
      count("moves of maps and instances refused") if step.definition.map
    end

    private

    def kind(step)
      name = step.definition.map[:config] ? "batch worker" : "map"
      step.instance? ? "instance of a #{name}" : name
    end

    def named(results)
      outcome = results.value["batch_processing_outcome"]
      return count("no_batches") if outcome["type"] == "no_batches"

      count("create_batches")
      count("batches", outcome["cursor_configs"].size)
    end
  end
end
