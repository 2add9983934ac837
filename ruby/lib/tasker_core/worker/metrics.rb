# frozen_string_literal: true

module TaskerCore
  class Worker
    # What this worker has done, counted; rendered in Prometheus' text format.
    # Series are bounded by the templates of this process.
    #
    # @api private
    class Metrics
      CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
      # Seconds; upper bounds of the buckets of handler times.
      BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0].freeze

      COUNTERS = {
        steps_claimed: "Steps claimed.",
        claim_calls: "Calls that claimed, or found nothing to claim.",
        claim_errors: "Calls to claim that failed.",
        heartbeat_errors: "Heartbeats that failed.",
        results_batched: "Results handed over together with the next claim.",
        results_alone: "Results handed over by a call of their own."
      }.freeze

      # How the runs of one step ended, and how long they took.
      Series = Struct.new(:outcomes, :buckets, :seconds, :count) do
        def self.start = new(Hash.new(0), Array.new(BUCKETS.size, 0), 0.0, 0)

        def add(outcome, duration)
          outcomes[outcome] += 1
          index = BUCKETS.find_index { |bound| duration <= bound }
          buckets[index] += 1 if index
          self.seconds += duration
          self.count += 1
        end
      end
      private_constant :Series

      def initialize
        @mutex = Mutex.new
        @counters = COUNTERS.transform_values { 0 }
        @series = Hash.new { |tasks, task| tasks[task] = Hash.new { |steps, step| steps[step] = Series.start } }
      end

      # @param name [Symbol] of {COUNTERS}
      def add(name, amount = 1)
        @mutex.synchronize { @counters[name] += amount }
      end

      # @return [Integer] value of a counter
      def value(name) = @mutex.synchronize { @counters.fetch(name) }

      # @param outcome [String] completed, failed, lease_lost, released, yielded, unreported
      # @param seconds [Float] from the handler's start to its report
      # @param task [String] 'namespace/name'
      # @param step [String] its name in the template, so that instances do not multiply the series
      def step_ended(task, step, outcome, seconds)
        @mutex.synchronize { @series[task][step].add(outcome, seconds) }
      end

      # @return [Hash{String => Integer}] steps by outcome
      def outcomes
        @mutex.synchronize do
          each_series.with_object(Hash.new(0)) do |(_labels, series), sums|
            series.outcomes.each { |outcome, count| sums[outcome] += count }
          end
        end
      end

      # @param gauges [Hash{String => Array(String, Numeric)}] help, value and perhaps labels by name
      # @return [String]
      def render(gauges)
        @mutex.synchronize do
          [*gauges.map do |name, (help, value, labels)|
             family("tasker_worker_#{name}", "gauge", help, [[labels ? braces(labels) : "", value]])
           end,
           *@counters.map do |name, value|
             family("tasker_worker_#{name}_total", "counter", COUNTERS.fetch(name), [["", value]])
           end,
           outcomes_by_step, durations].join
        end
      end

      private

      # @yieldparam labels [Hash] task and step
      # @yieldparam series [Series]
      def each_series
        return enum_for(:each_series) unless block_given?

        @series.each do |task, steps|
          steps.each { |step, series| yield({ task: task, step: step }, series) }
        end
      end

      def outcomes_by_step
        samples = each_series.flat_map do |labels, series|
          series.outcomes.map { |outcome, count| [braces({ **labels, outcome: outcome }), count] }
        end
        family("tasker_worker_steps_total", "counter", "Steps that ended in this worker, by outcome.", samples)
      end

      def durations
        samples = each_series.flat_map do |labels, series|
          seen = 0
          buckets = BUCKETS.zip(series.buckets).map do |bound, count|
            ["_bucket#{braces({ **labels, le: bound })}", seen += count]
          end
          [*buckets, ["_bucket#{braces({ **labels, le: "+Inf" })}", series.count],
           ["_sum#{braces(labels)}", series.seconds.round(6)], ["_count#{braces(labels)}", series.count]]
        end
        family("tasker_worker_step_duration_seconds", "histogram", "Time from a handler's start to its report.", samples)
      end

      def family(name, type, help, samples)
        ["# HELP #{name} #{help}\n# TYPE #{name} #{type}\n",
         *samples.map { |suffix, value| "#{name}#{suffix} #{value}\n" }].join
      end

      def braces(labels)
        "{#{labels.map { |name, value| "#{name}=\"#{escape(value)}\"" }.join(",")}}"
      end

      def escape(value)
        Codec.printable(value.to_s).gsub(/[\\"\n]/, "\\" => "\\\\", '"' => '\\"', "\n" => '\\n')
      end
    end
  end
end
