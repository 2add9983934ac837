# frozen_string_literal: true

require "io/wait"
require "socket"

module TaskerCore
  class Worker
    # Answers GET over HTTP from one thread, one request at a time, for probes
    # and scrapers; nothing of it talks to the database.
    #
    # @api private
    class HealthServer
      # Seconds a client has for its request.
      PATIENCE = 1.0
      REQUEST_BYTES = 8_192
      REASONS = { 200 => "OK", 400 => "Bad Request", 404 => "Not Found", 405 => "Method Not Allowed",
                  503 => "Service Unavailable" }.freeze
      private_constant :REASONS

      # @return [Integer] the port, the one chosen by the system where 0 was asked for
      attr_reader :port

      # @yieldparam path [String]
      # @yieldreturn [Array(Integer, String, String), nil] status, content type, body; nil for an unknown path
      # @raise [ConfigurationError] when the address cannot be had
      def initialize(host:, port:, log:, &answer)
        @server = TCPServer.new(host, port)
        @port = @server.local_address.ip_port
        @log = log
        @answer = answer
        @wake, @waker = IO.pipe
      rescue SystemCallError, SocketError => e
        raise ConfigurationError, "health port #{host}:#{port}: #{e.message}"
      end

      # @return [HealthServer]
      def start
        @thread = Thread.new do
          Thread.current.name = "tasker health"
          serve while @wake.wait_readable(0).nil?
        ensure
          @server.close
        end
        self
      end

      # @param timeout [Numeric]
      def stop(timeout = 2)
        @waker.write_nonblock(".", exception: false)
        @thread&.join(timeout)
      end

      private

      def serve
        ready, = IO.select([@server, @wake])
        return unless ready.include?(@server)

        client = @server.accept_nonblock(exception: false)
        respond(client) if client.is_a?(TCPSocket)
      rescue StandardError => e
        @log.debug("health request failed", error: "#{e.class}: #{e.message}")
      end

      def respond(client)
        verb, path = request(client)
        status, type, body = answer(verb, path)
        head = "HTTP/1.1 #{status} #{REASONS.fetch(status)}\r\nContent-Type: #{type}\r\n" \
               "Content-Length: #{body.bytesize}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
        write(client, verb == "HEAD" ? head : head + body)
      ensure
        client.close
      end

      # A client that reads nothing gets no more than its time.
      def write(client, text)
        deadline = Backoff.monotonic + PATIENCE
        until text.empty?
          written = client.write_nonblock(text, exception: false)
          if written.is_a?(Integer)
            text = text.byteslice(written..)
          else
            rest = deadline - Backoff.monotonic
            return if rest <= 0 || !client.wait_writable(rest)
          end
        end
      end

      # @return [Array(String, String), nil]
      def request(client)
        deadline = Backoff.monotonic + PATIENCE
        text = +""
        until text.include?("\r\n\r\n") || text.include?("\n\n")
          rest = deadline - Backoff.monotonic
          return if rest <= 0 || text.bytesize > REQUEST_BYTES || !client.wait_readable(rest)

          chunk = client.read_nonblock(4096, exception: false)
          return if chunk.nil?

          text << chunk if chunk.is_a?(String)
        end
        text[%r{\A[A-Z]+ \S+ HTTP/1\.[01]\r?$}]&.split&.first(2)
      end

      def answer(verb, path)
        return plain(400, "bad request") if verb.nil?
        return plain(405, "only GET and HEAD") unless %w[GET HEAD].include?(verb)

        @answer.call(path.split("?").first) || plain(404, "/livez, /readyz, /metrics")
      end

      def plain(status, text) = [status, "text/plain; charset=utf-8", "#{text}\n"]
    end
  end
end
