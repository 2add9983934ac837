# frozen_string_literal: true

require "test_helper"
require "net/http"
require "socket"
require "tasker_core/dashboard"
require "tasker_core/dashboard/server"

begin
  require "rack"
rescue LoadError
  nil # the tests that need it say so
end

# The pages, as a browser without scripts would get them.
class DashboardTest < DatabaseTest
  BAD = %(<script>alert("x")</script>)

  # @return [Array(Integer, Hash, String)]
  def ask(path, method: "GET", app: operator_app, form: nil, **env)
    path, query = path.split("?", 2)
    body = form && URI.encode_www_form(form)
    status, headers, parts = app.call({ "REQUEST_METHOD" => method, "SCRIPT_NAME" => "", "PATH_INFO" => path, "QUERY_STRING" => query.to_s,
                                        "HTTP_HOST" => "localhost:9797", "CONTENT_TYPE" => form && TaskerCore::Dashboard::Request::FORM,
                                        "rack.input" => StringIO.new(body.to_s), "rack.url_scheme" => "http", **env.transform_keys(&:to_s) }.compact)
    text = +""
    parts.each { |part| text << part }
    [status, headers, text]
  end

  def app(**options) = TaskerCore::Dashboard.new(URL, **options).tap { |made| @opened << made.instance_variable_get(:@operator).connection }
  def operator_app = (@operator_app ||= app(operator: true))

  # As a browser does: the page first, then its form with the cookie.
  def press(path, from:, **fields)
    _, headers, page = ask(from)
    cookie = headers.fetch("set-cookie")[/\A[^;]+/]
    token = page[/name="form" value="(\h+)"/, 1]
    ask(path, method: "POST", form: { form: token, **fields }, HTTP_COOKIE: cookie, HTTP_ORIGIN: "http://localhost:9797", HTTP_SEC_FETCH_SITE: "same-origin")
  end

  def failed_task(error = { class: "Declined", message: BAD, backtrace: ["a.rb:1:in `b'"] })
    register
    create(context: { note: BAD }).tap do |id|
      held = claim_one
      client.fail_step(workflow_step_id: held.workflow_step_id, claim_token: held.claim_token, error: error, retryable: false)
    end
  end

  def test_every_page_answers_with_its_security_headers
    id = failed_task
    template = client.list_task_templates(namespace: namespace).first.named_task_id
    ["/", "/?hours=24", "/tasks", "/tasks?state=error", "/tasks/#{id}", "/steps/#{id}000001", "/workers", "/schedules", "/dead-letters?state=all",
     "/templates", "/templates/#{template}"].each do |path|
      status, headers, page = ask(path)
      assert_equal 200, status, "#{path}: #{page}"
      assert_match(/default-src 'none'; style-src 'self'; script-src 'self'/, headers.fetch("content-security-policy"))
      assert_equal "text/html; charset=utf-8", headers.fetch("content-type")
      refute_match(/<script>|\s(href|src|action)="(https?|javascript):|\son\w+="|\sstyle="/, page, path)
      assert_match(/<html lang="en">.*<main.*<h1>/m, page)
      assert_equal page.scan(/ id="([^"]+)"/).flatten.uniq, page.scan(/ id="([^"]+)"/).flatten, "ids are unique on #{path}"
    end
  end

  def test_a_task_page_has_picture_reasons_errors_and_context
    id = failed_task
    _, _, page = ask("/tasks/#{id}")
    assert_match(/<svg class="graph"/, page)
    assert_match(/<a href="#{"/steps/#{id}000001"}"[^>]*class="node s-error/, page)
    assert_includes page, "&lt;script&gt;alert(&quot;x&quot;)"
    assert_match(%r{<b>blocked by failures</b>}, page)
    _, _, step = ask("/steps/#{id}000001")
    assert_includes step, "a.rb:1:in `b"
    assert_includes step, "Declined"
    assert_match(/attempt 1: failed, by w1/, step)
  end

  def test_finding_tasks
    id = failed_task
    assert_equal [303, "/tasks/#{id}"], [ask("/tasks?q=#{id}").first, ask("/tasks?q=#{id}")[1].fetch("location")]
    assert_includes ask("/tasks?namespace=#{namespace}&state=error")[2], "/tasks/#{id}"
    refute_includes ask("/tasks?namespace=#{namespace}&state=complete")[2], "/tasks/#{id}"
    correlation = client.get_task(id).dig("task", "correlation_id")
    assert_includes ask("/tasks?q=#{correlation}")[2], "/tasks/#{id}"
    assert_equal 400, ask("/tasks?state=nonsense").first
    assert_equal 200, ask("/tasks?q=%FF%00&before=x").first
  end

  def test_unknown_pages
    assert_equal 404, ask("/nope").first
    assert_equal 404, ask("/tasks/9000000000000").first
    assert_equal 404, ask("/steps/9000000000000000001").first
    assert_equal 404, ask("/templates/999999999").first
    assert_equal 404, ask("/assets/secret.txt").first
    assert_equal 404, ask("/assets/..").first
  end

  def test_putting_it_right
    id = failed_task
    status, headers, = press("/tasks/#{id}/retry", from: "/tasks/#{id}", reason: "bank says yes")
    assert_equal [303, "/tasks/#{id}?said=retry%3A+done"], [status, headers.fetch("location")]
    assert_equal "in_progress", task_state(id)
    assert_includes ask("/tasks/#{id}?said=#{URI.encode_www_form_component(BAD)}")[2], "&lt;script&gt;"
    assert_equal 303, press("/tasks/#{id}/pause", from: "/tasks/#{id}").first
    assert_includes ask("/tasks/#{id}")[2], "resume task"
    assert_equal 303, press("/tasks/#{id}/resume", from: "/tasks/#{id}").first
    assert_equal 303, press("/steps/#{id}000001/resolve", from: "/steps/#{id}000001", results: '{"paid": true}').first
    assert_equal({ "paid" => true }, results_of(id, "one"))
    assert_equal 400, press("/steps/#{id}000002/resolve", from: "/steps/#{id}000002", results: "{paid").first
    assert_equal 303, press("/steps/#{id}000002/skip", from: "/steps/#{id}000002").first
    assert_equal "complete", task_state(id)
    status, _, page = press("/steps/#{id}000002/reset", from: "/steps/#{id}000002")
    assert_equal 409, status
    assert_match(/HINT/, page)
  end

  def test_dead_letters
    id = failed_task
    page = ask("/dead-letters")[2]
    assert_match(%r{href="/tasks/#{id}"}, page)
    letter = page[%r{/tasks/#{id}/retry.*?/dead-letters/(\d+)/resolve}m, 1]
    assert_equal 303, press("/dead-letters/#{letter}/resolve", from: "/dead-letters", resolution: "permanently_failed", reason: "gone").first
    refute_match(%r{href="/tasks/#{id}"}, ask("/dead-letters")[2])
    assert_match(%r{href="/tasks/#{id}"}, ask("/dead-letters?state=permanently_failed")[2])
  end

  def test_schedules
    register
    client.create_schedule("nightly", "linear", "0 3 * * *", namespace: namespace, context: { a: 1 })
    shown = ask("/schedules").last[%r{<tr><td>#{namespace}/nightly.*?</tr>}]
    assert_match(%r{<td>linear</td><td>0 3 \* \* \* \(UTC\)</td><td>on time</td><td><time}, shown)
    status, headers, = press("/schedules/pause", from: "/schedules", namespace: namespace, schedule: "nightly")
    assert_equal [303, "/schedules?said=#{namespace}%2Fnightly%3A+pause%3A+done"], [status, headers.fetch("location")]
    assert client.list_schedules(namespace: namespace).first.paused_at
    assert_match(/>paused<.*>resume</, ask("/schedules").last[%r{<tr><td>#{namespace}/nightly.*?</tr>}])
    refute_match(/<form/, ask("/schedules", app: app).last[%r{<main.*</main>}m])
    press("/schedules/drop", from: "/schedules", namespace: namespace, schedule: "nightly")
    assert_empty client.list_schedules(namespace: namespace)
  end

  def pause_of(what) = ask("/").last[%r{<tr><td><a[^>]*>#{what}</a>.*?</tr>}]

  def test_what_is_paused
    register
    assert_nil pause_of("namespace #{namespace}")
    client.pause_namespace(namespace, reason: "stock-taking <b>")
    client.pause_template("linear", namespace: namespace)
    assert_match(%r{<td><time.*?</td><td>\w+</td><td>stock-taking &lt;b&gt;</td><td><form.*>resume<}, pause_of("namespace #{namespace}"))
    assert_match(/>resume</, pause_of("template #{namespace}/linear"))
    refute_match(/<form/, ask("/", app: app).last[%r{<section aria-labelledby="paused">.*?</section>}m])
    status, headers, = press("/pauses/resume", from: "/", namespace: namespace, template: "linear", reason: "counted")
    assert_equal [303, "/?said=#{namespace}%2Flinear%3A+resume%3A+done"], [status, headers.fetch("location")]
    assert_equal [["linear", "counted"]], client.list_pauses(namespace: namespace).select(&:resumed_at).map { |row| [row.task_name, row.resume_reason] }
    assert_nil pause_of("template #{namespace}/linear")
    assert_equal 404, press("/pauses/resume", from: "/", namespace: "#{namespace} none").first
    assert_equal 404, press("/pauses/resume", from: "/").first
    press("/pauses/resume", from: "/", namespace: namespace, template: "")
    assert_nil pause_of("namespace #{namespace}")
  ensure
    client.resume_namespace(namespace)
  end

  def test_parent_and_child_lead_to_each_other
    register(name: "child", steps: { only: [] })
    client.register_task_template({ name: "linear", namespace: namespace, steps: [{ name: "run", workflow: { name: "child" } }] })
    id = create
    child = TaskerCore::SubWorkflow.child(id, "run", client: client)
    assert_match(%r{<a href="/steps/#{id}000001">run</a> <a href="/tasks/#{child}">task #{child}</a>}, ask("/tasks/#{id}").last)
    assert_match(%r{runs for <a href="/steps/#{id}000001">step #{id}000001</a>}, ask("/tasks/#{child}").last)
    assert_equal [child], ask("/tasks?parent_task_id=#{id}").last.scan(%r{<td><a href="/tasks/(\d+)">}).flatten.map(&:to_i)
  end

  def test_it_shows_what_its_role_was_granted
    id = failed_task
    role = "tasker_o_#{SecureRandom.hex(4)}"
    connection.query("CREATE ROLE #{role}")
    client.grant_access(role, "operator")
    mine = another_connection
    mine.query("SET ROLE #{role}")
    granted = TaskerCore::Dashboard.new(mine, operator: true)
    ["/", "/tasks", "/tasks/#{id}", "/steps/#{id}000001", "/workers", "/dead-letters", "/templates", "/metrics"].each do |path|
      status, _, page = ask(path, app: granted)
      assert_equal 200, status, "#{path}: #{page}"
    end
    client.revoke_access(role, "operator")
    client.grant_access(role, "reader", namespaces: ["elsewhere"])
    assert_equal 404, ask("/tasks/#{id}", app: granted).first, "as if it did not exist"
    assert_equal 403, ask("/workers", app: granted).first
    refute_includes ask("/dead-letters", app: granted)[2], "/tasks/#{id}"
  ensure
    mine&.query("RESET ROLE")
    client.revoke_access(role, "reader") if role
    connection.query("DROP ROLE IF EXISTS #{role}") if role
  end

  def test_read_only_shows_no_form_and_refuses_posts
    id = failed_task
    reader = app
    page = ask("/tasks/#{id}", app: reader)[2]
    refute_match(/method="post"/, page)
    own = { form: { form: "a" * 32 }, HTTP_COOKIE: "tasker_form=#{"a" * 32}" } # what an operator's form would carry
    status, _, said = ask("/tasks/#{id}/retry", method: "POST", app: reader, **own)
    assert_equal 403, status
    assert_match(/read-only/, said)
    assert_equal "error", task_state(id)
  end

  def test_a_post_from_elsewhere_changes_nothing
    id = failed_task
    _, headers, page = ask("/tasks/#{id}")
    cookie = headers.fetch("set-cookie")
    assert_match(/HttpOnly; SameSite=Strict/, cookie)
    cookie = cookie[/\A[^;]+/]
    token = page[/name="form" value="(\h+)"/, 1]
    good = { form: { form: token }, HTTP_COOKIE: cookie, HTTP_ORIGIN: "http://localhost:9797" }
    [{ form: {} }, { form: { form: "0" * 32 } }, { HTTP_COOKIE: nil }, { HTTP_ORIGIN: "http://evil.example" }, { HTTP_ORIGIN: "null" },
     { HTTP_SEC_FETCH_SITE: "cross-site" }, { HTTP_COOKIE: "tasker_form=#{"0" * 32}" }].each do |change|
      assert_equal 403, ask("/tasks/#{id}/cancel", method: "POST", **good, **change).first, change.inspect
    end
    assert_equal "error", task_state(id)
    assert_equal 404, ask("/tasks/#{id}/cancel", **good.slice(:HTTP_COOKIE)).first, "a GET changes nothing"
    assert_equal 303, ask("/tasks/#{id}/cancel", method: "POST", **good).first
  end

  def test_it_answers_to_its_own_names_only
    assert_equal 421, ask("/", HTTP_HOST: "rebound.example").first
    assert_equal 421, ask("/", HTTP_HOST: "").first
    assert_equal 200, ask("/", HTTP_HOST: "[::1]:80").first
    assert_equal 200, ask("/", app: app(hosts: ["ops.example"]), HTTP_HOST: "ops.example").first
    assert_equal 200, ask("/", app: app(hosts: :any), HTTP_HOST: "anything").first
  end

  def test_mounted_below_a_path
    id = failed_task
    _, _, page = ask("/tasks/#{id}", SCRIPT_NAME: "/ops")
    links = page.scan(/(?:href|src|action|data-events)="([^"]+)"/).flatten.reject { |link| link.start_with?("#") }
    assert_operator links.size, :>, 8
    links.each { |link| assert_match(%r{\A/ops/}, link) }
  end

  def test_rack
    skip "no rack here" unless defined?(Rack::MockRequest)

    id = failed_task
    linted = Rack::MockRequest.new(Rack::Lint.new(app(hosts: :any)))
    ["/", "/tasks/#{id}", "/metrics", "/assets/style.css", "/nope"].each do |path|
      answer = linted.get(path)
      assert_includes [200, 404], answer.status
      assert_empty answer.errors
    end
    assert_equal "", linted.request("HEAD", "/").body
    mounted = Rack::MockRequest.new(Rack::URLMap.new("/ops" => app(hosts: :any)))
    assert_includes mounted.get("/ops/tasks").body, 'href="/ops/tasks/'
  end

  def test_assets
    { "style.css" => "text/css", "app.js" => "text/javascript" }.each do |name, type|
      status, headers, text = ask("/assets/#{name}")
      assert_equal 200, status
      assert_match(/\A#{type}/, headers.fetch("content-type"))
      refute_match(%r{https?://}, text, "works without the internet")
    end
  end

  def test_metrics
    failed_task
    status, headers, text = ask("/metrics")
    assert_equal [200, TaskerCore::Metrics::CONTENT_TYPE], [status, headers.fetch("content-type")]
    assert_match(/^tasker_dead_letters\{namespace="#{namespace}",template="linear",version="1.0.0"\} 1$/, text)
    assert_match(/^tasker_recent_attempts\{namespace="#{namespace}",template="linear",version="1.0.0",outcome="failed"\} 1$/, text)
    assert_match(/^tasker_up 1$/, text)
    names = text.scan(/^# TYPE (\S+) gauge$/).flatten
    assert_equal names.uniq, names
    assert_empty names - TaskerCore::Metrics::HELP.keys
    text.each_line { |line| assert_match(/\A(# (HELP|TYPE) tasker_\w+ .+|tasker_\w+(\{(\w+="([^"\\\n]|\\.)*",?)+\})? -?\d+(\.\d+)?(e[+-]?\d+)?)\n\z/, line) }
    if system("promtool", "--version", out: File::NULL, err: File::NULL)
      IO.popen(%w[promtool check metrics], "r+", err: %i[child out]) do |tool|
        tool.write(text)
        tool.close_write
        assert_equal "", tool.read
      end
    end
    assert_equal "# HELP tasker_up 1 when the database answered.\n# TYPE tasker_up gauge\ntasker_up 0\n",
                 TaskerCore::Metrics.new(TaskerCore::Operator.new(TaskerCore::Client.new("postgresql:///x?host=/nonexistent"))).text
  end

  def test_the_grafana_dashboard_names_metrics_that_exist
    path = File.expand_path("../../../monitoring/grafana.json", __dir__)
    skip "not in the source tree" unless File.exist?(path)

    expressions = JSON.parse(File.read(path)).fetch("panels").flat_map { |panel| panel.fetch("targets", []).map { |target| target.fetch("expr") } }
    named = expressions.flat_map { |text| text.scan(/\btasker_\w+/) }.uniq
    assert_operator named.size, :>, 5
    assert_empty named - TaskerCore::Metrics::HELP.keys
  end

  def test_server_sent_events
    id = failed_task
    seats = TaskerCore::Dashboard::Stream::Seats.new(1)
    operator = TaskerCore::Operator.new(another_client)
    stream = TaskerCore::Dashboard::Stream.new(seats.take, interval: 0.01, lifetime: 60) { operator.fingerprint(id) }
    assert_nil seats.take, "one seat"
    heard = []
    stream.each do |text|
      heard << text
      client.retry_task(id) if heard.size == 2
      break if text.start_with?("event: changed")
    end
    assert_equal "retry: 3000\n\n", heard.first
    refute_nil seats.take, "the seat is free again"
    assert_equal 503, ask("/events", app: app(streams: 0)).first
  end

  def with_server(application = operator_app)
    server = TaskerCore::Dashboard::Server.new(application, port: 0)
    thread = Thread.new { server.run }
    yield server
  ensure
    server&.stop
    thread&.join
  end

  def raw(server, text)
    socket = TCPSocket.new("127.0.0.1", server.port)
    socket.write(text)
    socket.close_write
    socket.read
  ensure
    socket&.close
  end

  def test_the_built_in_server
    id = failed_task
    with_server do |server|
      page = Net::HTTP.get_response(URI("#{server.url}tasks/#{id}"))
      assert_equal "200", page.code
      cookie = page["set-cookie"][/\A[^;]+/]
      answer = Net::HTTP.post(URI("#{server.url}tasks/#{id}/retry"), URI.encode_www_form(form: page.body[/name="form" value="(\h+)"/, 1]),
                              "Cookie" => cookie, "Content-Type" => TaskerCore::Dashboard::Request::FORM, "Origin" => server.url.chomp("/"))
      assert_equal "303", answer.code
      assert_equal "in_progress", task_state(id)
      assert_match(%r{\AHTTP/1.1 400 }, raw(server, "nonsense\r\n\r\n"))
      assert_match(%r{\AHTTP/1.1 405 }, raw(server, "BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
      assert_match(%r{\AHTTP/1.1 413 }, raw(server, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n"))
      assert_match(%r{\AHTTP/1.1 431 }, raw(server, "GET / HTTP/1.1\r\nX: #{"y" * 20_000}"))
      assert_match(%r{\AHTTP/1.1 400 }, raw(server, "GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n"))
      assert_match(%r{\AHTTP/1.1 200 OK\r\n.*\r\n\r\n\z}m, raw(server, "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    end
  end
end
