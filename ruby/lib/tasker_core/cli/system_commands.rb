# frozen_string_literal: true

module TaskerCore
  module CLI
    # `tasker events|dead-letters|health|doctor|maintenance|completion`
    module Commands
      DEAD_LETTER_COLUMNS = { dead_letter_id: "ID", task_id: "TASK", namespace: "NAMESPACE", task_name: "TEMPLATE",
                              step_name: "STEP", reason: "REASON", state: "STATE", created_at: "SINCE" }.freeze

      command "events tail", "events as they happen, a line each",
              after: ["--after CURSOR", String, "go on behind this cursor; \"start\" for the first event there is"],
              pattern: ["--pattern GLOB", String, "only such names, * for any characters"],
              follow: ["--[no-]follow", nil, "go on waiting (default); else end at the newest"],
              interval: ["-i", "--interval SEC", Float, "between looks (1)"] do |c|
        cursor = c.options[:after] || (c.operator.newest_cursor unless c.options[:follow] == false)
        cursor = nil if cursor == "start"
        loop do
          events = c.operator.events(after: cursor, pattern: c.options[:pattern])
          events.each do |event|
            c.out.json(event)
            c.out.say([c.out.cell(event.fetch(:occurred_at)), event.fetch(:name), "task #{event.fetch(:task_id) || "-"}",
                       event[:workflow_step_id] && "step #{event[:workflow_step_id]}",
                       c.out.cell(event.fetch(:payload))].compact.join("  "))
          end
          cursor = events.last.fetch(:cursor) if events.any?
          break if events.empty? && c.options[:follow] == false

          sleep(c.options.fetch(:interval, 1.0)) if events.empty?
        end
      end

      command "dead-letters", "tasks that wait for a person",
              state: ["-s", "--state STATE", String, "pending (default), manually_resolved, permanently_failed, cancelled, all"],
              limit: ["--limit N", Integer, "at most so many (100)"] do |c|
        state = c.options.fetch(:state, "pending")
        rows = c.operator.dead_letters(state: state == "all" ? nil : state, limit: c.options.fetch(:limit, 100))
        c.out.table(rows, DEAD_LETTER_COLUMNS, empty: "no dead letter")
      end

      command "dead-letters resolve ID", "close one; the task stays as it is (task retry starts it again)",
              as: ["--as RESOLUTION", %w[manually_resolved permanently_failed cancelled], "manually_resolved (default), permanently_failed, cancelled"],
              notes: ["-m", "--notes TEXT", String, "kept with it"] do |c|
        changed = c.operator.scalar(:resolve_dead_letter, dead_letter_id: c.task_id, notes: c.options[:notes],
                                                          resolution: c.options.fetch(:as, "manually_resolved"))
        c.out.json({ dead_letter_id: c.task_id, changed: changed })
        c.out.say("dead letter #{c.task_id}: #{changed ? "closed" : "was closed so already"}")
      end

      command "access list", "which roles may do what, and in which namespaces" do |c|
        c.out.table(c.operator.rows(:list_access), { role_name: "ROLE", access: "ACCESS", namespaces: "NAMESPACES", effective: "EFFECTIVE" },
                    empty: "nobody but superusers and the owner of the extension")
      end

      # @return [Integer] exit status
      def self.change_access(context, function, done, idle)
        role, access = context.arguments
        unless %w[producer worker operator reader admin].include?(access)
          raise OptionParser::InvalidArgument, "#{access}: producer, worker, operator, reader or admin"
        end

        changed = context.operator.scalar(function, role: context.operator.connection.with { |pg| pg.quote_ident(role) }, access: access,
                                                    namespaces: context.options[:namespaces])
        context.out.json({ role: role, access: access, changed: changed })
        context.out.say("#{role}, #{access}: #{changed ? done : idle}")
        OK
      end

      namespaces = { namespaces: ["-n", "--namespaces A,B", Array, "in these alone (all)"] }
      command("access grant ROLE ACCESS", "producer, worker, operator, reader or admin", **namespaces) do |c|
        change_access(c, :grant_access, "granted", "had it already")
      end
      command("access revoke ROLE ACCESS", "take it back", **namespaces) do |c|
        change_access(c, :revoke_access, "taken back", "did not have it")
      end

      command "health", "counts of tasks, steps, workers; exit 1 when somebody should look" do |c|
        counts = c.operator.health
        complaints = c.operator.complaints(counts)
        c.out.json(counts.merge(healthy: complaints.empty?, complaints: complaints))
        c.out.fields(counts)
        c.out.say("\n#{complaints.empty? ? "healthy" : complaints.join("\n")}")
        complaints.empty? ? OK : FORCED
      end

      command "doctor", "looks for what is wrong, with a remedy for each finding; exit 1 when there is a problem",
              strict: ["--strict", nil, "warnings count as well"],
              role: ["--role NAME", String, "whose rights to look at (the role that asks)"] do |c|
        findings = Doctor.new(c.operator, role: c.options[:role]).findings
        c.out.json(findings)
        findings.each { |finding| Doctor.say(finding, c.out) } unless c.out.json?
        bad = findings.any? { |finding| finding[:level] == "problem" || (c.options[:strict] && finding[:level] == "warning") }
        bad ? FORCED : OK
      end

      command "maintenance", "do once what the background worker does",
              max_items: ["--max-items N", Integer, "at most so many of each kind (1000)"] do |c|
        done = c.operator.scalar(:run_maintenance, max_items: c.options[:max_items])
        c.out.json(done)
        c.out.fields(done)
      end

      command "completion SHELL", "a completion script for bash or zsh, to be sourced" do |c|
        c.out.say(Completion.script(c.arguments.first))
      end
    end
  end
end
