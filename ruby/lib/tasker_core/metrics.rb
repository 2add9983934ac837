# frozen_string_literal: true

module TaskerCore
  # What a Prometheus scrape is answered: gauges of the moment, read from the live tables and the newest
  # history, so that a scrape costs the same however much there has been.
  class Metrics
    CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
    # Every metric, and what it counts; all are gauges.
    HELP = {
      "tasker_up" => "1 when the database answered.",
      "tasker_info" => "Always 1; versions as labels.",
      "tasker_ready_steps" => "Steps that can be claimed now.",
      "tasker_oldest_ready_age_seconds" => "How long the oldest of them has waited.",
      "tasker_claimed_steps" => "Steps in the hands of workers.",
      "tasker_expired_claims" => "Claims whose lease ran out and that nobody has taken since.",
      "tasker_later_steps" => "Steps that wait for a time: a retry, a delay or run_at.",
      "tasker_waiting_steps" => "Joins that wait for the rest of their parents; steps that wait for a signal, a task or instances.",
      "tasker_paused_steps" => "Steps of paused tasks.",
      "tasker_dead_letters" => "Tasks that wait for a person.",
      "tasker_recent_attempts" => "Attempts that ended in the last five minutes.",
      "tasker_recent_attempt_seconds" => "Time from claim to end of those that completed, on average.",
      "tasker_workers_alive" => "Workers seen in the last two minutes.",
      "tasker_events_lag_seconds" => "Age of the oldest event that an open transaction holds back.",
      "tasker_notification_queue_ratio" => "How full the server's notification queue is.",
      "tasker_scrape_duration_seconds" => "How long this answer took."
    }.freeze
    # metric => column of tasker.stats, a sample a template
    BY_TEMPLATE = { "tasker_ready_steps" => :ready, "tasker_oldest_ready_age_seconds" => :oldest_ready_age_seconds,
                    "tasker_claimed_steps" => :in_progress, "tasker_expired_claims" => :lease_expired,
                    "tasker_later_steps" => :later, "tasker_waiting_steps" => :waiting, "tasker_paused_steps" => :paused,
                    "tasker_dead_letters" => :dead_letters, "tasker_recent_attempt_seconds" => :avg_seconds_5m }.freeze

    # @param operator [Operator]
    def initialize(operator)
      @operator = operator
    end

    # @return [String] the answer; when the database cannot be reached, tasker_up 0 alone
    def text
      started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      stats = @operator.stats
      samples = by_template(stats) + recent(stats) + server
      samples << ["tasker_up", {}, 1] << ["tasker_info", { extension: @operator.client.check_extension, gem: VERSION }, 1]
      samples << ["tasker_scrape_duration_seconds", {}, Process.clock_gettime(Process::CLOCK_MONOTONIC) - started]
      exposition(samples)
    rescue ConnectionError
      exposition([["tasker_up", {}, 0]])
    end

    private

    def by_template(stats)
      BY_TEMPLATE.flat_map do |metric, column|
        stats.map { |row| [metric, labels(row), row.fetch(column)] }
      end
    end

    def labels(row) = { namespace: row.fetch(:namespace), template: row.fetch(:name), version: row.fetch(:version) }

    def recent(stats)
      stats.flat_map do |row|
        { "completed" => :completed_5m, "failed" => :failed_5m }.map do |outcome, column|
          ["tasker_recent_attempts", { **labels(row), outcome: outcome }, row.fetch(column)]
        end
      end
    end

    def server
      row = @operator.server_gauges
      [["tasker_workers_alive", {}, row.fetch(:workers_alive)], ["tasker_events_lag_seconds", {}, row.fetch(:events_lag)],
       ["tasker_notification_queue_ratio", {}, row.fetch(:notification_queue)]]
    end

    def exposition(samples)
      samples.reject { |_, _, value| value.nil? }.group_by(&:first).sort.map do |name, list|
        "# HELP #{name} #{HELP.fetch(name)}\n# TYPE #{name} gauge\n" + list.map { |_, labels, value| line(name, labels, value) }.join
      end.join
    end

    def line(name, labels, value)
      written = labels.map { |key, text| "#{key}=\"#{text.to_s.gsub(/[\\"\n]/, "\\" => "\\\\", '"' => '\\"', "\n" => "\\n")}\"" }
      "#{name}#{"{#{written.join(",")}}" if written.any?} #{value}\n"
    end
  end
end
