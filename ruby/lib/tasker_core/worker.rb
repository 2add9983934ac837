# frozen_string_literal: true

require "securerandom"
require "socket"

require_relative "worker/bell"
require_relative "worker/mailbox"
require_relative "worker/metrics"
require_relative "worker/leases"
require_relative "worker/outbox"
require_relative "worker/failure_report"
require_relative "worker/results"
require_relative "worker/attempt"
require_relative "worker/runner"
require_relative "worker/probe"
require_relative "worker/claimer"
require_relative "worker/heartbeat"
require_relative "worker/status"
require_relative "worker/health_server"

module TaskerCore
  # Runs steps of the registered templates until told to stop.
  #
  # Threads: this one supervises and talks to no server, so that a shutdown is
  # bounded whatever a server does; one claims and hands results over, one sends
  # heartbeats, one listens, and `concurrency` run handlers. Each of these has a
  # connection of its own, opened when it is needed: concurrency + 3 at most.
  class Worker
    # Seconds for the last calls of a forced shutdown.
    LAST_CALLS = 5
    # T: stop, and at the second time halt. Q: halt. D: dump the threads.
    SIGNALS = { "TERM" => "T", "INT" => "T", "QUIT" => "Q", "TTIN" => "D" }.freeze

    # @return [String] how the extension knows this worker
    attr_reader :worker_id

    # @param connection [Connection, Object] a URL, a Hash or a pool, see {Connection}
    # @param registry [Registry] the templates whose steps are claimed
    # @param concurrency [Integer] handler threads
    # @param namespaces [Array<String>, nil] only these; nil for all of the registry
    # @param poll_interval [Numeric] seconds between looks when nothing is heard; longer, up to 30 or
    #   half a lease, while there is nothing to do and notifications are known to arrive
    # @param lease [Numeric] seconds a claim lasts without a heartbeat
    # @param shutdown_timeout [Numeric] seconds a handler has to finish after {#stop}
    # @param listen [Boolean] whether to listen for notifications beside polling
    # @param listen_url [String, Hash, nil] a direct connection for it, where the main one goes through a pooler
    # @param max_steps [Integer, nil] stop after so many steps
    # @param health_port [Integer, nil] where to answer GET /livez, /readyz and /metrics; 0 for any free port
    # @param health_host [String] the address for it
    # @param register [Boolean] whether to register the templates with the extension at the start
    # @param executor [#call, nil] called with a block around every step, such as Rails' reloader
    # @param log [Log]
    def initialize(connection: TaskerCore.connection, registry: TaskerCore.registry, concurrency: 5,
                   namespaces: nil, poll_interval: 5.0, lease: 60.0, shutdown_timeout: 25.0, listen: true,
                   listen_url: TaskerCore.listen_url, max_steps: nil, health_port: nil, health_host: "127.0.0.1", register: true,
                   executor: TaskerCore.executor, log: TaskerCore.log)
      @connection = Connection.wrap(connection)
      @registry = registry
      @concurrency = concurrency
      @namespaces = namespaces
      @poll_interval = poll_interval
      @lease = lease
      @shutdown_timeout = shutdown_timeout
      @listen_url = listen ? listen_url || @connection.conninfo : nil
      @max_steps = max_steps
      @health = { port: health_port, host: health_host }
      @register = register
      @executor = executor
      @log = log
      @worker_id = "#{Socket.gethostname}:#{Process.pid}:#{SecureRandom.hex(3)}"
      @leases = Leases.new
      @bell = Bell.new([poll_interval, Claimer::IDLE_POLL_INTERVAL].max)
      @outbox = Outbox.new(@bell)
      @metrics = Metrics.new
      @mailbox = Mailbox.new
      @queue = Queue.new
      check_options
    end

    # @return [Integer] connections this worker needs at most
    def connections = @concurrency + 2 + (@listen_url ? 1 : 0)

    # @return [Integer, nil] where the health endpoint answers, once it runs
    def health_port = @health_server&.port

    # Works until stopped.
    # @param signals [Boolean] whether TERM and INT stop it, QUIT halts it, TTIN logs all threads
    # @return [Integer] 0 when everything begun was finished, 1 when it was cut short
    # @raise [ExtensionMissing, IncompatibleExtension, ConnectionError] when it cannot start
    # @raise [ConfigurationError] when the health port cannot be had
    def run(signals: false)
      @health_server = open_health_server
      boot
      previous = signals ? trap_signals : {}
      start_threads
      forced = supervise
      forced ? cut_short : finish
    ensure
      @health_server&.stop
      previous&.each { |name, handler| trap(name, handler || "DEFAULT") }
    end

    # Stops claiming and lets {#run} return when the handlers are done; a second
    # call does not wait for them. May be called from any thread and from a trap.
    def stop = @mailbox.post("T")

    # Lets {#run} return without waiting for handlers; their steps are given back.
    def halt = @mailbox.post("Q")

    # @return [Boolean] whether it is about to end
    def stopping? = @stopping || false

    # @return [Hash] counters by name, steps by outcome, and whether notifications are known to arrive
    def stats
      { **Metrics::COUNTERS.to_h { |name, _help| [name, @metrics.value(name)] }, steps: @metrics.outcomes,
        hears_notifications: hears? }
    end

    private

    def hears? = @probe&.healthy? || false

    def check_options
      raise ConfigurationError, "no template is registered, so there is nothing to claim" if @registry.empty?

      { concurrency: @concurrency, poll_interval: @poll_interval, lease: @lease }.each do |name, value|
        raise ConfigurationError, "#{name} must be positive, not #{value}" unless value.positive?
      end
      raise ConfigurationError, "max_steps must be positive" unless @max_steps.nil? || @max_steps.positive?
      raise ConfigurationError, "no template in #{@namespaces.join(", ")}" if task_names.empty?
    end

    def task_names
      return @registry.task_names unless @namespaces

      @registry.task_names.select { |name| @namespaces.include?(name.split("/").first) }
    end

    def open_health_server
      return unless @health[:port]

      HealthServer.new(**@health, log: @log) { |path| @status&.page(path) || starting(path) }.start
    end

    def starting(path)
      [503, "text/plain; charset=utf-8", "starting\n"] if %w[/livez /readyz /metrics].include?(path)
    end

    def boot
      client = Client.new(@connection)
      version = client.check_extension
      register_templates(client) if @register
      @log.info("worker starts", worker_id: @worker_id, extension: version, concurrency: @concurrency,
                                 connections: connections, tasks: task_names.join(","),
                                 listening: !@listen_url.nil?, health_port: health_port)
    ensure
      @connection.close
    end

    def register_templates(client)
      @registry.to_a.each do |handler|
        registered = client.register_task_template(handler.template)
        registered.warnings&.each do |warning|
          @log.warn("template warning", template: handler.template.full_name, warning: warning)
        end
      end
    end

    def trap_signals
      SIGNALS.to_h { |name, byte| [name, trap(name) { @mailbox.post(byte) }] }
    end

    def start_threads
      claiming = @connection.spawn
      beating = @connection.spawn
      @probe = build_probe(claiming) if @listen_url
      @heartbeat = Heartbeat.new(connection: beating, worker_id: @worker_id, lease_seconds: @lease,
                                 leases: @leases, metrics: @metrics, log: @log)
      @claimer = build_claimer(claiming)
      @listener = build_listener if @listen_url
      @status = build_status
      @heartbeat_thread = thread("heartbeat") { closing(beating) { @heartbeat.run } }
      @handler_threads = Array.new(@concurrency) { |n| handler_thread(n + 1) }
      @claimer_thread = thread("claimer") { closing(claiming) { @claimer.run } }
      @listener&.start
    end

    # A thread that dies of an exception takes the worker down loudly instead of
    # leaving half of one.
    # @param killed [String] what to post when it was killed instead
    def thread(name, killed: "X")
      Thread.new do
        Thread.current.name = "tasker #{name}"
        Thread.current.report_on_exception = false
        news = killed
        yield
        news = "E"
      rescue Exception => e # rubocop:disable Lint/RescueException
        news = "X"
        @log.fatal("#{name} thread died", error: "#{e.class}: #{e.message}", at: e.backtrace&.first)
        TaskerCore.report_error(e, worker_id: @worker_id, thread: name) if TaskerCore.on_error
      ensure
        @mailbox.post(news)
      end
    end

    def closing(connection)
      yield
    ensure
      connection.close
    end

    # A handler may end its own thread; that is its step's failure, not the worker's.
    def handler_thread(number)
      thread("handler #{number}", killed: "R") { work(@connection.spawn) }
    end

    def replace_handler_threads
      @handler_threads.each_with_index do |thread, index|
        @handler_threads[index] = handler_thread(index + 1) unless thread.alive? || @queue.closed?
      end
    end

    def build_probe(connection)
      Probe.new(connection: connection, log: @log) { @listener.reconnect }
    end

    def build_claimer(connection)
      Claimer.new(connection: connection, worker_id: @worker_id, concurrency: @concurrency,
                  lease_seconds: @lease, poll_interval: @poll_interval,
                  filters: { namespaces: @namespaces, task_names: task_names }.compact, leases: @leases,
                  bell: @bell, outbox: @outbox, metrics: @metrics, log: @log, probe: @probe,
                  max_steps: @max_steps) { |claims| deliver(claims, connection) }
    end

    def build_listener
      namespaces = task_names.map { |name| name.split("/").first }.uniq
      Listener.new(@listen_url, channels: ["tasker_ready", @probe.channel], log: @log) do |channel, payload|
        case channel
        when nil
          @probe.listening
          @bell.ring
        when @probe.channel then @probe.heard(payload)
        else @bell.ring if payload.empty? || namespaces.include?(payload)
        end
      end
    end

    def build_status
      Status.new(claimer: @claimer, heartbeat: @heartbeat, leases: @leases, metrics: @metrics,
                 concurrency: @concurrency, lease_seconds: @lease, hears: -> { hears? }, stopping: -> { stopping? })
    end

    # What arrives after the stop was claimed by a call already under way.
    def deliver(claims, connection)
      return claims.each { |claim| @queue << claim } unless @stopping

      release(claims, connection)
      @leases.remove(*claims)
    end

    def work(connection)
      runner = Runner.new(client: Client.new(connection), registry: @registry, leases: @leases, outbox: @outbox,
                          worker_id: @worker_id, lease_seconds: @lease, metrics: @metrics, log: @log, bell: @bell,
                          stopping: -> { stopping? }, executor: @executor)
      while (claim = @queue.pop)
        begin
          runner.run(claim)
        ensure
          @leases.remove(claim)
          @claimer.slot_freed
          @mailbox.post("E") if @leases.empty?
        end
      end
    ensure
      connection.close
    end

    # @return [Boolean] whether the shutdown is a forced one
    def supervise
      deadline = nil
      until done?
        news = @mailbox.take(deadline && (deadline - Backoff.monotonic))
        return true if news.include?("Q") || news.include?("X")

        replace_handler_threads if news.include?("R")
        dump_threads if news.include?("D")
        news.count("T").times do
          return true if deadline

          deadline = begin_stop
        end
        return !done? if deadline && Backoff.monotonic >= deadline
      end
      false
    end

    def done?
      (@stopping || @claimer.exhausted?) && !@claimer_thread.alive? && @leases.empty?
    end

    # @return [Float] when waiting for handlers ends
    def begin_stop
      @stopping = true
      @claimer.stop
      @log.info("stopping", running: @leases.size, timeout: @shutdown_timeout)
      Backoff.monotonic + @shutdown_timeout
    end

    def dump_threads
      @log.info("running", steps: names_of(@leases.claims))
      @status.threads.each { |fields| @log.info("thread", **fields) }
    end

    def finish
      stop_helpers
      @handler_threads.each { |thread| thread.join(LAST_CALLS) }
      @log.info("worker stopped")
      0
    end

    # Handlers still running end with the process. A transaction of
    # step.transaction is ended from here and rolled back by the server.
    def cut_short
      @stopping = true
      @claimer.stop
      @log.warn("giving back what is not finished", steps: names_of(@leases.claims))
      Thread.new { release_all }.join(LAST_CALLS)
      stop_helpers
      1
    end

    def names_of(claims) = claims.map { |claim| "#{claim.step_name}(#{claim.workflow_step_id})" }.join(",")

    def release_all
      connection = @connection.spawn
      @leases.releasing { |claims| release(claims, connection) }
    ensure
      connection&.close
    end

    def release(claims, connection)
      return if claims.empty?

      Client.new(connection).release_steps(workflow_step_ids: claims.map(&:workflow_step_id),
                                           claim_tokens: claims.map(&:claim_token))
    rescue DatabaseError => e
      @log.error("steps could not be given back; they come back when their leases end",
                 error: "#{e.class}: #{e.message}")
    end

    def stop_helpers
      @queue.close
      @heartbeat.stop
      @listener&.stop
      [@heartbeat_thread, @claimer_thread].each { |thread| thread.join(1) }
    end
  end
end
