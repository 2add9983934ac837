# frozen_string_literal: true

require "json"
require "securerandom"
require "uri"
require_relative "../tasker_core"
require_relative "operator"
require_relative "metrics"
require_relative "dashboard/html"
require_relative "dashboard/graph"
require_relative "dashboard/plot"
require_relative "dashboard/pages"
require_relative "dashboard/request"
require_relative "dashboard/stream"

module TaskerCore
  # The operators' web pages, as a Rack application. It has no dependency on Rack: `call(env)` answers
  # with status, headers and a body. Mount it behind what authenticates your people:
  #
  #   mount TaskerCore::Dashboard.new(TaskerCore.connection, operator: true, hosts: :any), at: "/tasker"
  #
  # Without `operator: true` it changes nothing: what the pages would change needs a POST, and every
  # POST is refused.
  class Dashboard
    # Names by which a browser on this machine calls it.
    LOCAL = %w[localhost 127.0.0.1 [::1]].freeze
    ASSETS = { "style.css" => "text/css; charset=utf-8", "app.js" => "text/javascript; charset=utf-8",
               "icon.svg" => "image/svg+xml" }.freeze
    SECURITY = {
      "content-security-policy" => "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; " \
                                   "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
      "x-content-type-options" => "nosniff",
      "referrer-policy" => "same-origin",
      "cache-control" => "no-store"
    }.freeze
    # Statuses of what the database refuses.
    STATUSES = { TaskNotFound => 404, StepNotFound => 404, TemplateNotFound => 404, ObjectNotFound => 404, IllegalTransition => 409,
                 TaskNotActive => 409, PermissionDenied => 403, InvalidArgument => 400, ConnectionError => 503 }.freeze
    ROUTES = [
      ["GET", %r{\A/?\z}, :overview],
      ["GET", %r{\A/tasks\z}, :tasks],
      ["GET", %r{\A/tasks/(\d{1,13})\z}, :task],
      ["GET", %r{\A/steps/(\d{1,19})\z}, :step],
      ["GET", %r{\A/workers\z}, :workers],
      ["GET", %r{\A/dead-letters\z}, :dead_letters],
      ["GET", %r{\A/schedules\z}, :schedules],
      ["GET", %r{\A/templates\z}, :templates],
      ["GET", %r{\A/templates/(\d{1,9})\z}, :template],
      ["GET", %r{\A/metrics\z}, :metrics],
      ["GET", %r{\A/events\z}, :events],
      ["GET", %r{\A/assets/([a-z.]+)\z}, :asset],
      ["POST", %r{\A/tasks/(\d{1,13})/(cancel|pause|resume|retry)\z}, :change_task],
      ["POST", %r{\A/tasks/(\d{1,13})/signal\z}, :send_signal],
      ["POST", %r{\A/steps/(\d{1,19})/(reset|skip|resolve)\z}, :change_step],
      ["POST", %r{\A/dead-letters/(\d{1,18})/resolve\z}, :resolve_dead_letter],
      ["POST", %r{\A/schedules/(pause|resume|drop)\z}, :change_schedule],
      ["POST", %r{\A/pauses/resume\z}, :end_pause]
    ].freeze

    # @param connection see {Connection}
    # @param operator [Boolean] whether it may change anything
    # @param hosts [Array<String>, Symbol] names it answers to, without ports, lest a page elsewhere reach it
    #   by a name of its own; :any when what it is mounted in looks at the Host header
    # @param streams [Integer] pages that are kept up to date at the same time
    def initialize(connection, operator: false, hosts: LOCAL, streams: 16)
      @operator = Operator.new(Client.new(connection))
      @may_change = operator
      @hosts = hosts
      @streams = Stream::Seats.new(streams)
      @metrics = Metrics.new(@operator)
    end

    # @param env [Hash] of Rack
    # @return [Array(Integer, Hash, #each)]
    def call(env)
      request = Request.new(env)
      status, headers, body = refuse_foreigners(request) || route(request)
      body = [] if env["REQUEST_METHOD"] == "HEAD"
      [status, SECURITY.merge(headers), body]
    end

    private

    def refuse_foreigners(request)
      return plain(421, "this dashboard is not known as #{request.host.inspect}; start it with --host NAME") unless known?(request.host)
      return unless request.post?
      return plain(403, "read-only: start it with --operator to allow changes") unless @may_change

      plain(403, "refused: the form was not sent from this dashboard; reload the page and try again") unless request.own_form?
    end

    def known?(host) = @hosts == :any || @hosts.include?(host)

    def route(request)
      method = request.post? ? "POST" : "GET"
      ROUTES.each do |verb, pattern, action|
        found = verb == method && pattern.match(request.path)
        return send(action, request, *found.captures) if found
      end
      problem(request, 404, "There is no such page.")
    rescue Error => e
      problem(request, STATUSES.find { |klass, _| e.is_a?(klass) }&.last || 500,
              e.respond_to?(:explanation) ? e.explanation : e.message)
    end

    # @!group Pages

    def overview(request)
      hours = [1, 6, 24].find { |choice| choice.to_s == request.params["hours"] } || 1
      page(request, "Overview", :overview, @operator.health, @operator.complaints,
           @operator.attempts_over_time(seconds: hours * 3600), hours, @operator.pauses)
    end

    def tasks(request)
      sought = request.params["q"].to_s.strip
      return redirect(request, "/tasks/#{sought}") if sought.match?(/\A\d{1,13}\z/)

      filters = request.params.slice("state", "namespace", "name", "tag", "correlation_id", "parent_task_id").reject { |_, value| value.empty? }
      key = sought.match?(/\A\h{8}-\h{4}-\h{4}-\h{4}-\h{12}\z/) ? "correlation_id" : "name"
      filters[key] = sought unless sought.empty?
      before = request.params["before"]
      rows = @operator.tasks(filters, max_tasks: 50, before_task_id: before&.match?(/\A\d{1,13}\z/) ? before : nil)
      page(request, "Tasks", :tasks, rows, filters)
    end

    def task(request, id)
      document = @operator.task(id)
      waiting = document.fetch("steps").reject { |step| Pages::SATISFIED.include?(step.fetch("state")) }.first(50)
      reasons = waiting.to_h { |step| [step.fetch("workflow_step_id"), @operator.explain(step.fetch("workflow_step_id"))] }
      page(request, "Task #{id}", :task, document, reasons)
    end

    def step(request, id)
      page(request, "Step #{id}", :step, @operator.step(id), @operator.explain(id))
    end

    def workers(request) = page(request, "Workers and queues", :workers, @operator.workers, @operator.queues, @operator.claiming_roles)

    def dead_letters(request)
      state = request.params.fetch("state", "pending")
      page(request, "Dead letters", :dead_letters, @operator.dead_letters(state: state == "all" ? nil : state), state)
    end

    def schedules(request) = page(request, "Schedules", :schedules, @operator.schedules)

    def templates(request) = page(request, "Templates", :templates, @operator.templates)

    def template(request, id)
      row = @operator.templates.find { |candidate| candidate.fetch(:named_task_id).to_s == id }
      return problem(request, 404, "There is no template #{id}.") unless row

      definition = @operator.scalar(:get_task_template, **row.slice(:name, :namespace, :version))
      page(request, "Template #{row.fetch(:name)}", :template, row, definition)
    end

    def metrics(_request) = [200, { "content-type" => Metrics::CONTENT_TYPE }, [@metrics.text]]

    def asset(_request, name)
      return plain(404, "no such file") unless ASSETS.key?(name)

      [200, { "content-type" => ASSETS.fetch(name), "cache-control" => "public, max-age=300" },
       [File.binread(File.join(__dir__, "dashboard/assets", name))]]
    end

    # Says "changed" whenever the page that asks would look different.
    def events(request)
      seat = @streams.take
      return plain(503, "too many pages are open; this one asks by itself").tap { |answer| answer[1]["retry-after"] = "5" } unless seat

      task_id = request.params["task"]
      look = task_id&.match?(/\A\d{1,13}\z/) ? -> { @operator.fingerprint(task_id) } : -> { @operator.fingerprint }
      [200, { "content-type" => "text/event-stream", "x-accel-buffering" => "no" }, Stream.new(seat, &look)]
    end

    # @!endgroup
    # @!group Changes

    def change_task(request, id, verb)
      changed = @operator.scalar(:"#{verb}_task", task_id: id, reason: request.reason)
      redirect(request, "/tasks/#{id}", said: [false, 0].include?(changed) ? "nothing to #{verb}" : "#{verb}: done")
    end

    def send_signal(request, id)
      payload = request.params["results"].to_s.strip.empty? ? nil : request.json("results")
      taken = @operator.scalar(:send_signal, task_id: id, name: request.params["name"], payload: payload)
      redirect(request, "/tasks/#{id}", said: taken ? "a step took the signal" : "the signal is kept for the step that will wait for it")
    end

    def change_step(request, id, verb)
      more = verb == "resolve" ? { results: request.json("results") } : {}
      @operator.rows(:"#{verb}_step", workflow_step_id: id, reason: request.reason, **more)
      redirect(request, "/steps/#{id}", said: "#{verb}: done")
    end

    def resolve_dead_letter(request, id)
      resolution = request.params.fetch("resolution", "manually_resolved")
      @operator.scalar(:resolve_dead_letter, dead_letter_id: id, resolution: resolution, notes: request.reason)
      redirect(request, "/dead-letters", said: "dead letter #{id}: #{resolution}")
    end

    def change_schedule(request, verb)
      named = { namespace: request.params["namespace"], name: request.params["schedule"] }
      changed = @operator.scalar(:"#{verb}_schedule", **named)
      redirect(request, "/schedules", said: "#{named.values.join("/")}: #{changed ? "#{verb}: done" : "nothing to #{verb}"}")
    end

    def end_pause(request)
      namespace, template = %w[namespace template].map { |key| request.params[key].to_s }
      named = template.empty? ? { namespace: namespace } : { namespace: namespace, name: template }
      changed = @operator.scalar(template.empty? ? :resume_namespace : :resume_template, **named, reason: request.reason)
      redirect(request, "/", said: "#{named.values.join("/")}: #{changed ? "resume: done" : "nothing to resume"}")
    end

    # @!endgroup

    def page(request, title, name, *arguments)
      cookie, token = request.token
      pages = Pages.new(base: request.base, may_change: @may_change, token: token, said: request.params["said"])
      headers = { "content-type" => "text/html; charset=utf-8" }
      headers["set-cookie"] = cookie if cookie
      [200, headers, [pages.document(title, pages.public_send(name, *arguments), current: request.path)]]
    end

    def problem(request, status, message)
      answer = page(request, "Not done", :problem, message)
      [status, *answer.drop(1)]
    end

    def redirect(request, path, said: nil)
      query = said ? "?#{URI.encode_www_form(said: said)}" : ""
      [303, { "location" => "#{request.base}#{path}#{query}", "content-type" => "text/plain" }, []]
    end

    def plain(status, message) = [status, { "content-type" => "text/plain; charset=utf-8" }, ["#{message}\n"]]
  end
end
