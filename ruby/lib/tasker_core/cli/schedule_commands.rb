# frozen_string_literal: true

module TaskerCore
  module CLI
    # `tasker schedule ...`
    module Commands
      SCHEDULE_COLUMNS = { namespace: "NAMESPACE", name: "SCHEDULE", task_name: "TEMPLATE", cron: "CRON", timezone: "ZONE",
                           condition: "STATE", next_due_at: "NEXT", last_due_at: "LAST", last_task_id: "LAST TASK",
                           last_error: "ERROR" }.freeze

      # @return [Hash] namespace, if it is given, and name
      def self.named(text)
        namespace, _, name = text.rpartition("/")
        { namespace: (namespace unless namespace.empty?), name: name }.compact
      end

      command "schedule list", "what runs when: next time, last time, and why that made no task",
              namespace: ["-n", "--namespace NAME", String, "of this namespace"] do |c|
        c.out.table(c.operator.schedules(namespace: c.options[:namespace]), SCHEDULE_COLUMNS, empty: "no schedule")
      end

      command "schedule create NAME TEMPLATE CRON", "NAMESPACE/NAME; five crontab fields in quotes, or @hourly and so on",
              context: ["-c", "--context JSON", String, "of its tasks: JSON, @FILE, or - for stdin"],
              timezone: ["--timezone ZONE", String, "whose clock is meant (UTC)"],
              version: ["--template-version V", String, "instead of the highest"],
              priority: ["-p", "--priority N", Integer, "higher runs first (0)"],
              catch_up: ["--catch-up HOW", %w[latest all], "latest (default) or all of the times that passed unnoticed"] do |c|
        name, template, cron = c.arguments
        given = { **c.options.slice(:timezone, :version, :priority, :catch_up), **named(name) }
        given[:context] = c.json(c.options[:context]) if c.options[:context]
        made = c.operator.rows(:create_schedule, task_name: template, cron: cron, **given).first
        c.out.json(made)
        c.out.say("schedule #{name}: #{made.fetch(:created) ? "created" : "exists already"}, next at #{c.out.cell(made.fetch(:next_due_at))}")
      end

      { "pause" => ["makes no tasks until it is resumed", "paused", "was paused already"],
        "resume" => ["goes on; times that passed are not made up for", "resumed", "was not paused"],
        "drop" => ["deletes it; the tasks it made stay", "dropped", "there is none"] }.each do |verb, (text, done, idle)|
        command "schedule #{verb} NAME", "NAMESPACE/NAME #{text}" do |c|
          changed = c.operator.scalar(:"#{verb}_schedule", **named(c.arguments.first))
          c.out.json({ schedule: c.arguments.first, changed: changed })
          c.out.say("schedule #{c.arguments.first}: #{changed ? done : idle}")
          NOT_FOUND if verb == "drop" && !changed
        end
      end
    end
  end
end
