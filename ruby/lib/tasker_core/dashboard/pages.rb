# frozen_string_literal: true

require_relative "html"
require_relative "graph"
require_relative "plot"

module TaskerCore
  class Dashboard
    # What is on each page. Asks the database nothing.
    class Pages
      include Html

      NAVIGATION = { "" => "Overview", "/tasks" => "Tasks", "/dead-letters" => "Dead letters",
                     "/workers" => "Workers", "/schedules" => "Schedules", "/templates" => "Templates" }.freeze
      TASK_STATES = %w[pending in_progress complete error cancelled resolved_manually].freeze
      SATISFIED = %w[complete skipped cancelled resolved_manually].freeze
      TASK_FACTS = %w[priority created_at run_at started_at finished_at paused_at initiator source_system reason tags
                      correlation_id parent_correlation_id idempotency_key created_by].freeze
      STEP_FACTS = %w[state queue attempts max_attempts priority worker_id started_at finished_at lease_expires_at
                      next_retry_at timeout_seconds handler_class depends_on].freeze

      # @param base [String] where the dashboard is mounted
      # @param token [String] what forms carry
      # @param said [String, nil] what the last change came to
      def initialize(base:, may_change:, token:, said: nil)
        @base = base
        @may_change = may_change
        @token = token
        @said = said
      end

      # @return [String]
      def document(title, content, current:)
        "<!DOCTYPE html>\n" + h(:html, head(title), h(:body,
          h(:a, "Skip to content", href: "#content", class: "skip"),
          h(:header, h(:strong, "tasker"), navigation(current),
            h(:span, @may_change ? "operator" : "read-only", class: "mode"),
            h(:span, "", id: "live", role: "status")),
          h(:main, h(:h1, title), @said && h(:p, @said, class: "said", role: "status"), content, id: "content", tabindex: "-1")), lang: "en")
      end

      def overview(health, complaints, history, hours, pauses)
        join([complaint_list(complaints), paused(pauses),
              h(:section, h(:h2, "Now", id: "now"), tiles(health), aria_labelledby: "now"),
              h(:section, h(:h2, "Attempts, the last #{hours} h", id: "history"), ranges(hours),
                Plot.new("Attempts that ended", history, [Plot::Series.new(key: :completed, label: "completed", kind: :bar),
                                                          Plot::Series.new(key: :failed, label: "failed or lost", kind: :bar)]) { |value| format("%g", value) }.to_html,
                Plot.new("Time from claim to end", history, [Plot::Series.new(key: :median, label: "median", kind: :line),
                                                             Plot::Series.new(key: :p95, label: "95 %", kind: :line)]) { |value| duration(value) }.to_html,
                h(:p, "From the newest 20,000 attempts: the view recent_attempts.", class: "note"), aria_labelledby: "history")])
      end

      def tasks(rows, filters)
        more = rows.size == 50 && link("older tasks", "/tasks", **filters.transform_keys(&:to_sym), before: rows.last.fetch(:task_id))
        join([task_filter(filters),
              table("Tasks", %w[task template version state created finished tags],
                    rows.map { |row| task_row(row) }, empty: "No task matches."),
              more && h(:p, more)])
      end

      def task(document, reasons)
        task, steps, progress = document.values_at("task", "steps", "progress")
        graph = Graph.new(steps) { |step| "#{@base}/steps/#{step.fetch("workflow_step_id")}" }
        join([task_head(task, progress), task_actions(task),
              h(:section, h(:h2, "Steps", id: "steps"),
                h(:div, graph.to_svg, class: "scroll", tabindex: "0", role: "group", aria_label: "Picture of the steps"),
                critical(graph), aria_labelledby: "steps", data_live: "task=#{task.fetch("task_id")}"),
              why(steps, reasons), step_table(steps),
              h(:section, h(:h2, "Context", id: "context"), json(task.fetch("context")), aria_labelledby: "context")])
      end

      def step(step, reasons)
        id = step.fetch("workflow_step_id")
        join([h(:p, link("task #{step.fetch("task_id")}", "/tasks/#{step.fetch("task_id")}"), " › ", h(:b, step.fetch("name")), " ", state(step.fetch("state"))),
              h(:section, h(:h2, "Why", id: "why"), reason_list(reasons), aria_labelledby: "why", data_live: "task=#{step.fetch("task_id")}"),
              step_actions(id), (signal_action(step) if reasons.any? { |row| row.fetch(:reason) == "waiting_for_signal" }), facts(step.slice(*STEP_FACTS)), payloads(step),
              h(:section, h(:h2, "Attempts", id: "attempts"), attempts(step.fetch("attempt_history")), aria_labelledby: "attempts"),
              moves(step.fetch("moves"))])
      end

      def workers(workers, queues, roles)
        join([h(:section, h(:h2, "Workers", id: "workers"),
                table("Workers", ["worker", "seen", "alive", "holds", "claims from", "role"], workers.map { |row| worker_row(row) },
                      empty: "No worker was ever seen. Start one: tasker worker -r FILE"), aria_labelledby: "workers", data_live: ""),
              h(:section, h(:h2, "Queues", id: "queues"),
                table("Queues", ["namespace", "queue", "ready", "oldest ready since", "claimed", "lease expired", "later", "waiting", "paused"],
                      queues.map { |row| [row[:namespace], row[:queue], row[:ready], time(row[:oldest_ready_at]), row[:in_progress], row[:lease_expired], row[:later], row[:waiting], row[:paused]] },
                      empty: "No step is live."), aria_labelledby: "queues"),
              h(:section, h(:h2, "Roles that may claim", id: "roles"),
                h(:p, roles.empty? ? "None but superusers and the owner: tasker access grant ROLE worker, before its workers can claim anything." : roles.join(", ")), aria_labelledby: "roles")])
      end

      def dead_letters(rows, chosen)
        states = %w[pending manually_resolved permanently_failed cancelled all].map do |state|
          h(:a, state.tr("_", " "), href: url("/dead-letters", state: state), aria_current: ("page" if state == chosen))
        end
        join([h(:nav, states, class: "choice", aria_label: "State"),
              table("Dead letters", ["id", "since", "task", "step", "reason", "error", "state", "action"], rows.map { |row| letter_row(row) },
                    empty: "None. Nothing waits for a person.")])
      end

      def schedules(rows)
        table("Schedules", ["schedule", "template", "when", "state", "next run", "last run", "last error", "action"],
              rows.map { |row| schedule_row(row) }, empty: "None. Make one: tasker schedule create NAME TEMPLATE CRON")
      end

      def templates(rows)
        table("Templates", %w[template namespace version steps registered description],
              rows.map { |row| [link(row[:name], "/templates/#{row[:named_task_id]}"), row[:namespace], row[:version], row[:step_count], time(row[:created_at]), row[:description]] },
              empty: "No template is registered.")
      end

      def template(row, definition)
        steps = definition.fetch("steps").map.with_index(1) do |step, number|
          { "name" => step.fetch("name"), "state" => "pending", "depends_on" => step["depends_on"] || [], "workflow_step_id" => number }
        end
        join([h(:p, "#{row[:namespace]}/#{row[:name]} #{row[:version]}, ", link("its tasks", "/tasks", namespace: row[:namespace], name: row[:name])),
              h(:div, Graph.new(in_order(steps)) { "#definition" }.to_svg, class: "scroll", tabindex: "0", role: "group", aria_label: "Picture of the steps"),
              h(:section, h(:h2, "Definition", id: "definition"), json(definition), aria_labelledby: "definition")])
      end

      def problem(message) = h(:p, message.lines.flat_map { |line| [line.chomp, h(:br)] }, class: "complaint", role: "alert")

      private

      def url(path, **query)
        query = query.compact.reject { |_, value| value.to_s.empty? }
        "#{@base}#{path}#{"?#{URI.encode_www_form(query)}" if query.any?}"
      end

      def link(text, path, **query) = h(:a, text, href: url(path, **query))

      def head(title)
        h(:head, h(:meta, charset: "utf-8"), h(:title, "#{title} · tasker"), h(:meta, name: "viewport", content: "width=device-width, initial-scale=1"),
          h(:meta, name: "color-scheme", content: "light dark"), h(:link, rel: "icon", href: url("/assets/icon.svg")),
          h(:link, rel: "stylesheet", href: url("/assets/style.css")),
          h(:script, "", src: url("/assets/app.js"), defer: true, data_events: url("/events")))
      end

      def navigation(current)
        h(:nav, NAVIGATION.map do |path, name|
          here = path.empty? ? ["", "/"].include?(current) : current.start_with?(path)
          h(:a, name, href: url(path.empty? ? "/" : path), aria_current: ("page" if here))
        end, aria_label: "Pages")
      end

      # @param rows [Array<Array>]
      def table(name, heads, rows, empty:)
        return h(:p, empty, class: "note") if rows.empty?

        h(:div, h(:table, h(:thead, h(:tr, heads.map { |head| h(:th, head, scope: "col") })),
                  h(:tbody, rows.map { |row| h(:tr, row.map { |cell| h(:td, cell.nil? || cell == "" ? "–" : cell) }) }), aria_label: name),
          class: "scroll", tabindex: "0", role: "group", aria_label: name)
      end

      def state(name) = h(:span, name.tr("_", " "), class: "state s-#{name}")

      def facts(pairs)
        list = pairs.reject { |_, value| value.nil? || value == [] }.map do |key, value|
          shown = key.end_with?("_at") ? time(value) : (value.is_a?(Array) ? value.join(", ") : value)
          h(:div, h(:dt, key.tr("_", " ")), h(:dd, shown))
        end
        h(:dl, list, class: "facts")
      end

      # A form with one button; nothing for those who may only look.
      def act(path, verb, text, *fields)
        button("#{path}/#{verb}", text, fields, h(:label, "reason ", h(:input, name: "reason", size: "14", maxlength: "500")), " ")
      end

      def button(path, text, *fields)
        h(:form, h(:input, type: "hidden", name: "form", value: @token), fields, h(:button, text), method: "post", action: url(path), class: "act")
      end

      def complaint_list(complaints)
        return h(:p, "All is well: nothing waits for a person.", class: "fine") if complaints.empty?

        h(:ul, complaints.map { |text| h(:li, text) }, class: "complaint", role: "alert")
      end

      def paused(pauses)
        return if pauses.empty?

        h(:section, h(:h2, "Paused", id: "paused"),
          table("Paused", ["what", "since", "by", "why", "action"], pauses.map { |row| pause_row(row) }, empty: ""),
          h(:p, "None of its steps is claimed until it is resumed; a task can be paused by itself too.", class: "note"), aria_labelledby: "paused")
      end

      def pause_row(row)
        what = row[:task_name] ? "template #{row[:namespace]}/#{row[:task_name]}" : "namespace #{row[:namespace]}"
        if @may_change
          named = { namespace: row[:namespace], template: row[:task_name].to_s }.map { |name, value| h(:input, type: "hidden", name: name, value: value) }
          action = act("/pauses", "resume", "resume", *named)
        end
        [link(what, "/tasks", namespace: row[:namespace], name: row[:task_name]), time(row[:paused_at]), row[:paused_by], row[:reason], action]
      end

      def tiles(health)
        shown = { "tasks in progress" => [:in_progress_tasks, "in_progress"], "tasks pending" => [:pending_tasks, "pending"],
                  "tasks in error" => [:error_tasks, "error"], "tasks complete" => [:complete_tasks, "complete"], "paused" => [:paused_tasks, nil],
                  "steps ready" => [:ready_steps, nil], "steps in progress" => [:in_progress_steps, nil], "waiting for retry" => [:waiting_for_retry_steps, nil],
                  "workers alive" => [:workers_alive, nil], "dead letters" => [:dead_letters_pending, nil] }
        h(:ul, shown.map do |label, (key, filter)|
          number = h(:b, health.fetch(key))
          h(:li, filter ? h(:a, number, " ", label, href: url("/tasks", state: filter)) : [number, " ", label])
        end, class: "tiles", data_live: "")
      end

      def ranges(hours)
        h(:nav, [1, 6, 24].map { |choice| h(:a, "#{choice} h", href: url("/", hours: choice), aria_current: ("page" if choice == hours)) }, class: "choice", aria_label: "How far back")
      end

      def task_filter(filters)
        fields = { "namespace" => "namespace", "name" => "template", "tag" => "tag" }.map do |key, label|
          h(:label, "#{label} ", h(:input, name: key, value: filters[key], size: "12"))
        end
        states = [h(:option, "any", value: ""), TASK_STATES.map { |name| h(:option, name.tr("_", " "), value: name, selected: filters["state"] == name) }]
        h(:form, h(:label, "task id, correlation id or template ", h(:input, name: "q", type: "search", size: "20", id: "search")),
          h(:label, "state ", h(:select, states, name: "state")), fields, h(:button, "Find"), method: "get", action: url("/tasks"), class: "filter", role: "search")
      end

      def task_row(row)
        [link(row.fetch(:task_id), "/tasks/#{row.fetch(:task_id)}"), link("#{row[:namespace]}/#{row[:task_name]}", "/tasks", namespace: row[:namespace], name: row[:task_name]),
         row[:version], [state(row[:state]), (row[:paused_at] && [" ", state("paused")])], time(row[:created_at]), time(row[:finished_at]), row[:tags]&.join(", ")]
      end

      def task_head(task, progress)
        percent = progress.fetch("completion_percentage").to_f
        join([h(:p, link("#{task["namespace"]}/#{task["task_name"]}", "/tasks", namespace: task["namespace"], name: task["task_name"]), " #{task["version"]} ",
                state(task.fetch("state")), (task["paused_at"] && [" ", state("paused")]),
                (task["parent_step_id"] && [" runs for ", link("step #{task["parent_step_id"]}", "/steps/#{task["parent_step_id"]}")]), class: "lead"),
              h(:p, h(:progress, "#{percent} %", max: "100", value: percent, aria_label: "completed"), " #{percent} % · ",
                "#{progress["execution_status"].tr("_", " ")} → #{progress["recommended_action"].tr("_", " ")}"),
              facts(task.slice(*TASK_FACTS))])
      end

      def task_actions(task)
        return unless @may_change

        verbs = { "in_progress" => %w[pause cancel], "pending" => %w[pause cancel], "error" => %w[retry cancel] }.fetch(task["state"], [])
        verbs = verbs.map { |verb| verb == "pause" && task["paused_at"] ? "resume" : verb }
        verbs << "resume" if task["paused_at"] && task["state"] == "error"
        return if verbs.empty?

        h(:section, h(:h2, "Put it right", id: "actions"), verbs.map { |verb| act("/tasks/#{task["task_id"]}", verb, "#{verb} task") }, aria_labelledby: "actions", class: "actions")
      end

      def why(steps, reasons)
        return if reasons.empty?

        named = steps.to_h { |step| [step.fetch("workflow_step_id"), step.fetch("name")] }
        h(:section, h(:h2, "Why it is not further", id: "why"),
          h(:dl, reasons.map { |id, rows| h(:div, h(:dt, link(named.fetch(id), "/steps/#{id}")), h(:dd, reason_list(rows))) }, class: "why"), aria_labelledby: "why")
      end

      def reason_list(rows)
        h(:ol, rows.map { |row| h(:li, h(:b, row.fetch(:reason).tr("_", " ")), ": ", row.fetch(:detail)) }, class: "reasons")
      end

      def critical(graph)
        path = graph.critical_path
        h(:p, "Critical path: #{path.join(" → ")}", class: "note") if path.size > 1
      end

      def step_table(steps)
        rows = steps.map do |step|
          id = step.fetch("workflow_step_id")
          [[link(step.fetch("name"), "/steps/#{id}"), (step["child_task_id"] && [" ", link("task #{step["child_task_id"]}", "/tasks/#{step["child_task_id"]}")])],
           state(step.fetch("state")), step["attempts"], time(step["started_at"]),
           (seconds = Graph.seconds(step)) ? duration(seconds) : nil, step.fetch("depends_on").join(", "), error_line(step["error"])]
        end
        table("Steps", ["step", "state", "attempts", "started", "took", "after", "error"], rows, empty: "No steps.")
      end

      def error_line(error)
        return unless error

        error.is_a?(Hash) ? (error["message"] || JSON.generate(error)).to_s[0, 200] : error.to_s[0, 200]
      end

      def step_actions(id)
        return unless @may_change

        results = h(:label, "results (JSON) ", h(:input, name: "results", value: "{}", size: "16"))
        h(:section, h(:h2, "Put it right", id: "actions"), act("/steps/#{id}", "reset", "reset step"), act("/steps/#{id}", "resolve", "resolve step", results),
          act("/steps/#{id}", "skip", "skip step"), aria_labelledby: "actions", class: "actions")
      end

      def signal_action(step)
        return unless @may_change

        h(:form, h(:input, type: "hidden", name: "form", value: @token), h(:label, "signal ", h(:input, name: "name", size: "14", required: true)),
          h(:label, "payload (JSON) ", h(:input, name: "results", value: "null", size: "16")), h(:button, "send signal"),
          method: "post", action: url("/tasks/#{step.fetch("task_id")}/signal"), class: "act")
      end

      def payloads(step)
        %w[results error checkpoint inputs handler_config].filter_map do |key|
          value = step[key]
          next if value.nil? || value == {}

          h(:section, h(:h2, key.tr("_", " ").capitalize, id: key), key == "error" ? error(value) : json(value), aria_labelledby: key)
        end
      end

      def error(value)
        return json(value) unless value.is_a?(Hash) && value["backtrace"].is_a?(Array)

        join([h(:p, h(:b, value["class"]), ": ", value["message"]), h(:pre, h(:code, value["backtrace"].join("\n")), tabindex: "0"),
              (rest = value.reject { |key, _| %w[class message backtrace].include?(key) }).any? ? json(rest) : nil])
      end

      def attempts(rows)
        return h(:p, "No attempt has ended.", class: "note") if rows.empty?

        rows.reverse.map do |row|
          head = "attempt #{row["attempt"]}: #{row["outcome"].to_s.tr("_", " ")}, by #{row["worker_id"]}"
          took = row["finished_at"] && row["claimed_at"] && (Time.iso8601(row["finished_at"]) - Time.iso8601(row["claimed_at"]))
          h(:details, h(:summary, head, " ", time(row["finished_at"]), took && " · took #{duration(took)}"),
            row["error"] ? error(row["error"]) : json(row["results"]), id: "attempt-#{row["attempt_no"] || row["attempt"]}", open: !row["error"].nil?)
        end
      end

      def moves(rows)
        return if rows.empty?

        h(:section, h(:h2, "Moves by hand", id: "moves"),
          table("Moves", %w[when what from to who why], rows.map { |row| [time(row["moved_at"] || row["at"]), row["verb"], row["from_state"], row["to_state"], row["recorded_as"] || row["recorded_by"], row["reason"]] }, empty: ""), aria_labelledby: "moves")
      end

      def worker_row(row)
        from = { "namespaces" => row[:namespaces], "templates" => row[:task_names], "queues" => row[:queues] }.compact
        [row[:worker_id], time(row[:last_seen_at]), row[:live] ? "yes" : "no", row[:claims],
         from.empty? ? "everything" : from.map { |what, names| "#{what}: #{names.join(", ")}" }.join("; "), row[:role]]
      end

      def letter_row(row)
        action =
          if @may_change && row[:state] == "pending"
            choice = h(:label, "as ", h(:select, %w[manually_resolved permanently_failed cancelled].map { |name| h(:option, name.tr("_", " "), value: name) }, name: "resolution"))
            [act("/tasks/#{row[:task_id]}", "retry", "retry task"), act("/dead-letters/#{row[:dead_letter_id]}", "resolve", "close", choice)]
          end
        snapshot = row[:snapshot]
        error = snapshot.is_a?(Hash) ? snapshot["error"] || snapshot.dig("step", "error") : nil
        [row[:dead_letter_id], time(row[:created_at]), link("#{row[:task_id]} #{row[:namespace]}/#{row[:task_name]}", "/tasks/#{row[:task_id]}"),
         row[:step_name] && link(row[:step_name], "/steps/#{row[:workflow_step_id]}"), row[:reason].tr("_", " "), error_line(error), row[:state].tr("_", " "), action]
      end

      def schedule_row(row)
        last = row[:last_due_at] && [time(row[:last_due_at]), (row[:last_task_id] && [" ", link("task #{row[:last_task_id]}", "/tasks/#{row[:last_task_id]}")])]
        if @may_change
          named = [h(:input, type: "hidden", name: "namespace", value: row[:namespace]), h(:input, type: "hidden", name: "schedule", value: row[:name])]
          action = [row[:paused_at] ? "resume" : "pause", "drop"].flat_map { |verb| [button("/schedules/#{verb}", verb, *named), " "] }
        end
        ["#{row[:namespace]}/#{row[:name]}", [row[:task_name], (row[:version] && " #{row[:version]}")], "#{row[:cron]} (#{row[:timezone]})",
         row[:condition], time(row[:next_due_at]), last, row[:last_error], action]
      end

      # A template gives its steps in any order.
      def in_order(steps)
        left = steps.dup
        done = []
        until left.empty?
          ready = left.select { |step| (step.fetch("depends_on") - done.map { |one| one.fetch("name") }).empty? }
          break done.concat(left) if ready.empty?

          done.concat(ready)
          left -= ready
        end
        done
      end
    end
  end
end
