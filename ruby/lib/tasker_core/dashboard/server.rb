# frozen_string_literal: true

require "io/wait"
require "socket"
require "stringio"

module TaskerCore
  class Dashboard
    # A small HTTP/1.1 server for one Rack application: a thread a connection, one request each, bounds
    # on everything. For an operator's machine or behind a proxy, not for the open internet.
    class Server
      MOST_THREADS = 64
      HEAD_BYTES = 16_384
      BODY_BYTES = 1_048_576
      PATIENCE = 10 # seconds for a request to arrive
      REASONS = { 200 => "OK", 303 => "See Other", 400 => "Bad Request", 403 => "Forbidden", 404 => "Not Found",
                  405 => "Method Not Allowed", 408 => "Request Timeout", 409 => "Conflict", 413 => "Content Too Large",
                  421 => "Misdirected Request", 431 => "Request Header Fields Too Large", 500 => "Internal Server Error",
                  503 => "Service Unavailable" }.freeze

      # Ends a request with a status.
      class Refused < StandardError
        attr_reader :status

        def initialize(status)
          super(REASONS.fetch(status))
          @status = status
        end
      end

      # @param app [#call]
      # @param port [Integer] 0 for any that is free
      def initialize(app, bind: "127.0.0.1", port: 9797, log: nil)
        @app = app
        @log = log
        @listener = TCPServer.new(bind, port)
        @bind = bind
        @wake, @waker = IO.pipe
        @threads = []
        @mutex = Mutex.new
      end

      # @return [Integer]
      def port = @listener.addr[1]

      # @return [String]
      def url = "http://#{@bind.include?(":") ? "[#{@bind}]" : @bind}:#{port}/"

      # Serves until {stop}.
      def run
        loop do
          readable, = IO.select([@listener, @wake])
          break if readable.include?(@wake)

          socket = @listener.accept_nonblock(exception: false)
          take(socket) unless socket == :wait_readable
        rescue SystemCallError
          next # the client is gone already
        end
      ensure
        @listener.close
        @mutex.synchronize { @threads.dup }.each(&:kill)
      end

      # From any thread, or a signal handler.
      def stop = @waker.write_nonblock(".", exception: false)

      private

      def take(socket)
        @mutex.synchronize do
          @threads.select!(&:alive?)
          if @threads.size >= MOST_THREADS
            refuse(socket, 503)
            socket.close
          else
            @threads << Thread.new { serve(socket) }
          end
        end
      end

      def serve(socket)
        Thread.current.report_on_exception = false
        env = read_request(socket)
        answer(socket, env["REQUEST_METHOD"], *@app.call(env))
      rescue Refused => e
        refuse(socket, e.status)
      rescue SystemCallError, IOError
        nil # the client is gone
      rescue StandardError => e
        @log&.error("dashboard", error: "#{e.class}: #{e.message}", at: e.backtrace&.first)
        refuse(socket, 500)
      ensure
        socket.close
      end

      def refuse(socket, status)
        answer(socket, "GET", status, { "content-type" => "text/plain" }, ["#{REASONS.fetch(status)}\n"])
      rescue SystemCallError, IOError
        nil
      end

      def read_request(socket)
        deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + PATIENCE
        head, rest = read_head(socket, deadline)
        first, *lines = head.split("\r\n")
        method, target, version = first.to_s.split(" ", 3)
        raise Refused, 400 unless version&.match?(%r{\AHTTP/1\.[01]\z}) && target&.start_with?("/")
        raise Refused, 405 unless %w[GET HEAD POST].include?(method)

        environment(method, target, headers(lines)).tap do |env|
          env["rack.input"] = StringIO.new(read_body(socket, rest, env, deadline))
        end
      end

      def read_head(socket, deadline)
        data = String.new
        until (split = data.index("\r\n\r\n"))
          raise Refused, 431 if data.bytesize > HEAD_BYTES

          data << receive(socket, deadline)
        end
        [data.byteslice(0, split), data.byteslice(split + 4, data.bytesize)]
      end

      def read_body(socket, data, env, deadline)
        raise Refused, 400 if env.key?("HTTP_TRANSFER_ENCODING")

        length = env.fetch("CONTENT_LENGTH", "0")
        raise Refused, 400 unless length.match?(/\A\d{1,9}\z/)
        raise Refused, 413 if length.to_i > BODY_BYTES

        data << receive(socket, deadline) while data.bytesize < length.to_i
        data.byteslice(0, length.to_i)
      end

      def receive(socket, deadline)
        left = deadline - Process.clock_gettime(Process::CLOCK_MONOTONIC)
        raise Refused, 408 unless left.positive? && socket.wait_readable(left)

        socket.readpartial(8192)
      end

      def headers(lines)
        lines.each_with_object({}) do |line, found|
          name, value = line.split(":", 2)
          raise Refused, 400 unless value && name.match?(/\A[\w-]+\z/)

          key = name.upcase.tr("-", "_")
          key = "HTTP_#{key}" unless %w[CONTENT_TYPE CONTENT_LENGTH].include?(key)
          raise Refused, 400 if found.key?(key) && %w[HTTP_HOST CONTENT_LENGTH].include?(key)

          found[key] = value.strip
        end
      end

      def environment(method, target, headers)
        path, query = target.split("?", 2)
        headers.merge("REQUEST_METHOD" => method, "SCRIPT_NAME" => "", "PATH_INFO" => path, "QUERY_STRING" => query.to_s,
                      "SERVER_NAME" => @bind, "SERVER_PORT" => port.to_s, "SERVER_PROTOCOL" => "HTTP/1.1",
                      "rack.url_scheme" => "http", "rack.errors" => $stderr, "rack.multithread" => true,
                      "rack.multiprocess" => false, "rack.run_once" => false, "rack.version" => [1, 3])
      end

      # The end of the connection is the end of the body.
      def answer(socket, method, status, headers, body)
        head = headers.map { |name, value| "#{name}: #{value.to_s.delete("\r\n")}\r\n" }.join
        socket.write("HTTP/1.1 #{status} #{REASONS.fetch(status, "OK")}\r\n#{head}connection: close\r\n\r\n")
        body.each { |part| socket.write(part) } unless method == "HEAD"
      ensure
        body.close if body.respond_to?(:close)
      end
    end
  end
end
