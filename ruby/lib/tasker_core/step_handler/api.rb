# frozen_string_literal: true

require "json"
require "net/http"
require "openssl"
require "time"
require "uri"

module TaskerCore
  module StepHandler
    # Base of handlers that call an HTTP service, with the standard library alone.
    # What the service answers decides what becomes of the step: see {STATUSES}.
    # Nothing is repeated here, and no redirect followed: when and how often is
    # the template's business. Each request has its own connection, so one
    # instance serves all threads.
    #
    # Read from the step's handler configuration:
    # - `url`: what paths are relative to
    # - `headers`, `params`: sent with every request
    # - `timeout` (30) for an answer and `open_timeout` (10) to connect, in seconds
    # - `auth`: `{type: bearer|basic|api_key, env: NAME, header: X-Api-Key}`. The secret is in the
    #   environment variable (for basic, user:password): a template is stored in the database
    #
    #   class Charge < TaskerCore::StepHandler::Api
    #     def process(task, sequence, step)
    #       post("charges", json: { order: task.context["order"] }, headers: idempotency_header(step)).json
    #     end
    #   end
    class Api < Base
      # By status; of 2xx nothing is raised, and everything else is a {NetworkError}: it is tried again.
      STATUSES = {
        400 => ValidationError, 401 => PermanentError, 403 => PermanentError, 404 => NotFoundError,
        422 => ValidationError
      }.freeze
      # Statuses whose Retry-After says when to come back.
      RETRY_AFTER = [429, 503].freeze
      # Bytes of a refusing answer that are stored with the attempt.
      EXCERPT = 500
      TIMEOUTS = [Net::OpenTimeout, Net::ReadTimeout, Net::WriteTimeout, Errno::ETIMEDOUT].freeze
      FAILURES = [SystemCallError, SocketError, IOError, OpenSSL::SSL::SSLError, Net::ProtocolError,
                  Net::HTTPBadResponse, Net::HTTPHeaderSyntaxError, Zlib::Error].freeze
      private_constant :TIMEOUTS, :FAILURES

      # What a service answered.
      Response = Value.define(:status, :headers, :body) do
        # @return the body as JSON, with string keys; nil for an empty one
        # @raise [NetworkError] when it is none
        def json
          body.to_s.strip.empty? ? nil : JSON.parse(body)
        rescue JSON::ParserError
          raise NetworkError.new("status #{status}, but the body is no JSON", status_code: status)
        end

        # @param name [String] in any case
        # @return [String, nil] a header
        def [](name) = headers[name.downcase]
      end

      # @param config [Hash] see the class
      # @raise [ConfigurationError] when the secret is not in the environment
      def initialize(config: {})
        super
        @authorization = authorization(config["auth"] || {}).freeze
      end

      # @param path [String] below `url` of the configuration, or a whole URL
      # @param params [Hash] for the query
      # @return [Response]
      # @raise [PermanentError, NetworkError, TimeoutError]
      def get(path, params: {}, headers: {}) = request(Net::HTTP::Get, path, params: params, headers: headers)

      # @see #get
      def delete(path, params: {}, headers: {}) = request(Net::HTTP::Delete, path, params: params, headers: headers)

      # @param json the body, as JSON
      # @param body [String, nil] or as it is
      # @see #get
      def post(path, json: nil, body: nil, params: {}, headers: {})
        request(Net::HTTP::Post, path, params: params, headers: headers, json: json, body: body)
      end

      # @see #post
      def put(path, json: nil, body: nil, params: {}, headers: {})
        request(Net::HTTP::Put, path, params: params, headers: headers, json: json, body: body)
      end

      # @see #post
      def patch(path, json: nil, body: nil, params: {}, headers: {})
        request(Net::HTTP::Patch, path, params: params, headers: headers, json: json, body: body)
      end

      # The same for all attempts of a step, so that a service can tell a repetition.
      # @return [Hash]
      def idempotency_header(step) = { "Idempotency-Key" => "tasker-#{step.workflow_step_id}" }

      # Judges an answer; override it for a service with habits of its own.
      # @param response [Response]
      # @param about [String] method and URL, for the message
      # @return [Response] unless it raises
      def process_response(response, about)
        return response if (200..299).cover?(response.status)

        message = "#{about} answered #{response.status}"
        context = { status: response.status, body: excerpt(response.body) }
        permanent = STATUSES[response.status]
        raise permanent.new(message, error_code: "HTTP_#{response.status}", context: context) if permanent

        raise NetworkError.new(message, status_code: response.status, context: context,
                                        retry_after: (retry_after(response) if RETRY_AFTER.include?(response.status)))
      end

      # The header Retry-After in each of its forms: seconds, with a fraction too, or a date as in
      # RFC 9110 (all three) or RFC 2822. A date is compared with the server's own clock, if it says so.
      # @param response [Response]
      # @return [Numeric, nil] seconds; nil when there is none, or nothing that makes sense
      def retry_after(response)
        text = response["retry-after"].to_s.strip
        return Float(text, exception: false)&.then { |seconds| seconds.to_i == seconds ? seconds.to_i : seconds } if
          text.match?(/\A\d{1,9}(\.\d+)?\z/)

        at = date(text) or return
        [at - (date(response["date"].to_s.strip) || Time.now), 0].max
      end

      private

      def request(kind, path, params:, headers:, json: nil, body: nil)
        uri = uri(path, params)
        about = "#{kind::METHOD} #{uri.scheme}://#{uri.host}:#{uri.port}#{uri.path}"
        message = kind.new(uri)
        all_headers(headers).each { |name, value| message[name] = value.to_s }
        give_body(message, json.nil? ? body : JSON.generate(json), json.nil? ? "octet-stream" : "json")
        process_response(send_request(uri, message, about), about)
      end

      def give_body(message, body, kind)
        return unless message.request_body_permitted?

        message["Content-Type"] ||= "application/#{kind}"
        message.body = body.to_s
      end

      def all_headers(own)
        { "Accept" => "application/json", "User-Agent" => "tasker_core/#{VERSION}", **@authorization,
          **(config["headers"] || {}), **own.transform_keys(&:to_s) }
      end

      def send_request(uri, message, about)
        answer = Net::HTTP.start(uri.host, uri.port, use_ssl: uri.scheme == "https", max_retries: 0,
                                                     open_timeout: open_timeout, read_timeout: timeout,
                                                     write_timeout: timeout) { |http| http.request(message) }
        Response.new(status: answer.code.to_i, headers: answer.each_header.to_h, body: answer.body)
      rescue *TIMEOUTS => e
        raise TimeoutError.new("#{about}: #{e.class}", timeout_duration: timeout)
      rescue *FAILURES => e
        raise NetworkError, "#{about}: #{e.class}: #{e.message.lines.first.to_s.chomp}"
      end

      def timeout = config["timeout"] || 30

      def open_timeout = config["open_timeout"] || 10

      def uri(path, params)
        base = path.match?(%r{\Ahttps?://}) ? path : "#{config.fetch("url").chomp("/")}/#{path.delete_prefix("/")}"
        uri = URI.parse(base)
        query = [uri.query, *((config["params"] || {}).merge(params.transform_keys(&:to_s)).map do |name, value|
          URI.encode_www_form([[name, value]])
        end)].compact
        uri.query = query.join("&") unless query.empty?
        uri
      rescue URI::InvalidURIError, KeyError => e
        raise PermanentError.new("no URL: #{e.message}", error_code: "INVALID_URL")
      end

      def authorization(auth)
        return {} if auth.empty?

        secret = ENV.fetch(auth["env"].to_s) do
          raise ConfigurationError, "auth.env must name an environment variable that is set, not #{auth["env"].inspect}"
        end
        case auth["type"]
        when "bearer" then { "Authorization" => "Bearer #{secret}" }
        when "basic" then { "Authorization" => "Basic #{[secret].pack("m0")}" }
        when "api_key" then { auth["header"] || "X-Api-Key" => secret }
        else raise ConfigurationError, "auth.type is bearer, basic or api_key, not #{auth["type"].inspect}"
        end
      end

      def date(text)
        Time.httpdate(text)
      rescue ArgumentError
        begin
          Time.rfc2822(text)
        rescue ArgumentError
          nil
        end
      end

      def excerpt(body) = body && Codec.printable(body).byteslice(0, EXCERPT).scrub("")
    end
  end
end
