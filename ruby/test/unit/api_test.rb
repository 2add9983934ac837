# frozen_string_literal: true

require "test_helper"
require "socket"
require "tasker_core/step_handler/api"

class ApiTest < UnitTest
  Api = TaskerCore::StepHandler::Api

  # Answers each request with the next of the given answers, and keeps what was asked.
  class Service
    attr_reader :requests

    def initialize(*answers)
      @server = TCPServer.new("127.0.0.1", 0)
      @requests = []
      @thread = Thread.new { answers.each { |answer| serve(answer) } }
    end

    def url = "http://127.0.0.1:#{@server.addr[1]}/base/"

    def close
      @thread.kill
      @server.close
    end

    private

    def serve(answer)
      socket = @server.accept
      head = socket.gets("\r\n\r\n")
      length = head[/content-length: (\d+)/i, 1].to_i
      @requests << [head, socket.read(length)]
      answer == :hang ? socket.read : socket.write(answer)
    ensure
      socket&.close
    end
  end

  def answer(status, body = "", **headers)
    "HTTP/1.1 #{status} Text\r\n#{headers.map { |name, value| "#{name.to_s.tr("_", "-")}: #{value}\r\n" }.join}" \
      "Content-Length: #{body.bytesize}\r\nConnection: close\r\n\r\n#{body}"
  end

  def with_service(*answers, **config)
    service = Service.new(*answers)
    yield Api.new(config: { "url" => service.url, **config.transform_keys(&:to_s) }), service
  ensure
    service&.close
  end

  def response(status: 503, body: "", **headers)
    Api::Response.new(status: status, headers: headers.transform_keys { |name| name.to_s.tr("_", "-") }, body: body)
  end

  def test_a_request
    with_service(answer(200, '{"id":7}'), headers: { "X-Team" => "a" }, params: { "v" => "2" }) do |api, service|
      step = TaskerCore::Step.new(claim)
      reply = api.post("/charges", json: { order: 1 }, params: { q: "a b" }, headers: api.idempotency_header(step))
      assert_equal [200, { "id" => 7 }], [reply.status, reply.json]
      head, body = service.requests.first
      assert_match(%r{\APOST /base/charges\?v=2&q=a\+b HTTP/1.1}, head)
      assert_match(/^X-Team: a\r$/i, head)
      assert_match(/^Idempotency-Key: tasker-42000001\r$/i, head)
      assert_match(%r{^Content-Type: application/json\r$}i, head)
      assert_equal '{"order":1}', body
    end
  end

  def test_every_verb
    with_service(*Array.new(5) { answer(204) }) do |api, service|
      assert_nil api.get("a").json
      api.put("a", body: "x")
      api.patch("a", json: nil, body: "y")
      api.delete("a")
      api.post("a")
      assert_equal(%w[GET PUT PATCH DELETE POST], service.requests.map { |head, _| head.split.first })
      assert_equal(["", "x", "y", "", ""], service.requests.map { |_, body| body.to_s })
    end
  end

  def test_classification_by_status
    api = Api.new
    (100..599).each do |status|
      error = begin
        api.process_response(response(status: status, body: "why"), "GET x")
        nil
      rescue TaskerCore::Error => e
        e
      end
      expected =
        case status
        when 200..299 then NilClass
        when 400, 422 then TaskerCore::ValidationError
        when 401, 403 then TaskerCore::PermanentError
        when 404 then TaskerCore::NotFoundError
        else TaskerCore::NetworkError
        end
      assert_instance_of expected, error, status
      next unless error

      assert_equal status, error.context[:status]
      assert_equal "HTTP_#{status}", error.error_code if error.is_a?(TaskerCore::PermanentError)
      assert_equal status, error.status_code if error.is_a?(TaskerCore::NetworkError)
    end
  end

  def test_retry_after_counts_for_429_and_503
    { 429 => 7, 503 => 7, 500 => nil, 502 => nil, 409 => nil }.each do |status, seconds|
      error = assert_raises(TaskerCore::NetworkError) do
        Api.new.process_response(response(status: status, retry_after: "7"), "GET x")
      end
      assert_equal({ v: seconds }, { v: error.retry_after }, status)
    end
  end

  def test_retry_after_in_all_its_forms
    date = "Sun, 06 Nov 1994 08:49:37 GMT"
    { "120" => 120, " 5 " => 5, "1.5" => 1.5, "0" => 0,
      "Sun, 06 Nov 1994 08:50:07 GMT" => 30, "Sunday, 06-Nov-94 08:50:07 GMT" => 30,
      "Sun Nov  6 08:50:07 1994" => 30, "Sun, 06 Nov 1994 09:50:07 +0100" => 30,
      "Sun, 06 Nov 1994 08:00:00 GMT" => 0,
      "-5" => nil, "soon" => nil, "" => nil, "1e3" => nil, "99999999999999" => nil }.each do |text, seconds|
      assert_equal({ v: seconds }, { v: Api.new.retry_after(response(retry_after: text, date: date)) }, text)
    end
    assert_nil Api.new.retry_after(response)
    from_now = Api.new.retry_after(response(retry_after: (Time.now + 3_600).httpdate))
    assert_in_delta 3_600, from_now, 600
  end

  def test_what_fails_on_the_way_is_tried_again
    with_service("nonsense\r\n\r\n") { |api, _| assert_raises(TaskerCore::NetworkError) { api.get("a") } }
    with_service("") { |api, _| assert_raises(TaskerCore::NetworkError) { api.get("a") } }
    with_service(:hang, timeout: 0.2) do |api, _|
      error = assert_raises(TaskerCore::TimeoutError) { api.get("a") }
      assert_equal [0.2, true], [error.timeout_duration, error.retryable?]
    end
    closed = TCPServer.new("127.0.0.1", 0)
    port = closed.addr[1]
    closed.close
    error = assert_raises(TaskerCore::NetworkError) { Api.new.get("http://127.0.0.1:#{port}/x?secret=1") }
    refute_includes error.message, "secret"
  end

  def test_a_request_is_sent_once
    with_service("", answer(200)) do |api, service|
      assert_raises(TaskerCore::NetworkError) { api.get("a") }
      assert_equal 1, service.requests.size
    end
  end

  def test_bodies
    assert_equal [1], response(body: "[1]").json
    assert_nil response(body: nil).json
    assert_raises(TaskerCore::NetworkError) { response(body: "<html>").json }
    error = assert_raises(TaskerCore::PermanentError) do
      Api.new.process_response(response(status: 400, body: "\xff\0" * 4_000), "GET x")
    end
    assert_operator error.context[:body].bytesize, :<=, 500
    assert_predicate error.context[:body], :valid_encoding?
  end

  def test_secrets_come_from_the_environment
    ENV["TEST_SECRET"] = "s3"
    { { "type" => "bearer" } => /^Authorization: Bearer s3\r$/i, { "type" => "basic" } => /^Authorization: Basic czM=\r$/i,
      { "type" => "api_key" } => /^X-Api-Key: s3\r$/i,
      { "type" => "api_key", "header" => "Key" } => /^Key: s3\r$/i }.each do |auth, header|
      with_service(answer(200), auth: { "env" => "TEST_SECRET", **auth }) do |api, service|
        api.get("a")
        assert_match header, service.requests.first.first
      end
    end
    [{ "type" => "bearer" }, { "type" => "bearer", "env" => "NO_SUCH_SECRET" },
     { "type" => "magic", "env" => "TEST_SECRET" }].each do |auth|
      assert_raises(TaskerCore::ConfigurationError) { Api.new(config: { "auth" => auth }) }
    end
  ensure
    ENV.delete("TEST_SECRET")
  end

  def test_no_url
    error = assert_raises(TaskerCore::PermanentError) { Api.new.get("a") }
    assert_equal "INVALID_URL", error.error_code
  end
end
