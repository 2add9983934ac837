# frozen_string_literal: true

require "securerandom"
require "socket"

require_relative "worker/bell"
require_relative "worker/mailbox"
require_relative "worker/leases"
require_relative "worker/failure_report"
require_relative "worker/results"
require_relative "worker/step_transaction"
require_relative "worker/runner"
require_relative "worker/claimer"
require_relative "worker/heartbeat"

module TaskerCore
  # Runs steps of the registered templates until told to stop.
  #
  # Threads: this one supervises and talks to no server, so that a shutdown is
  # bounded whatever a server does; one claims, one sends heartbeats, one
  # listens, and `concurrency` run handlers. All but the first have a connection
  # of their own: concurrency + 3 in all.
  class Worker
    # Seconds for the last calls of a forced shutdown.
    LAST_CALLS = 5
    SIGNALS = { "TERM" => "T", "INT" => "T", "QUIT" => "Q" }.freeze

    # @return [String] how the extension knows this worker
    attr_reader :worker_id

    # @param connection [Connection, Object] a URL, a Hash or a pool, see {Connection}
    # @param registry [Registry] the templates whose steps are claimed
    # @param concurrency [Integer] handler threads
    # @param namespaces [Array<String>, nil] only these; nil for all of the registry
    # @param poll_interval [Numeric] seconds between looks when nothing is heard
    # @param lease [Numeric] seconds a claim lasts without a heartbeat
    # @param shutdown_timeout [Numeric] seconds a handler has to finish after {#stop}
    # @param listen [Boolean] whether to listen for notifications beside polling
    # @param listen_url [String, Hash, nil] a direct connection for it, where the main one goes through a pooler
    # @param max_steps [Integer, nil] stop after so many steps
    # @param register [Boolean] whether to register the templates with the extension at the start
    # @param log [Log]
    def initialize(connection: TaskerCore.connection, registry: TaskerCore.registry, concurrency: 5,
                   namespaces: nil, poll_interval: 5.0, lease: 60.0, shutdown_timeout: 25.0, listen: true,
                   listen_url: nil, max_steps: nil, register: true, log: TaskerCore.log)
      @connection = Connection.wrap(connection)
      @registry = registry
      @concurrency = concurrency
      @namespaces = namespaces
      @poll_interval = poll_interval
      @lease = lease
      @shutdown_timeout = shutdown_timeout
      @listen_url = listen ? listen_url || @connection.conninfo : nil
      @max_steps = max_steps
      @register = register
      @log = log
      @worker_id = "#{Socket.gethostname}:#{Process.pid}:#{SecureRandom.hex(3)}"
      @leases = Leases.new
      @bell = Bell.new(poll_interval)
      @mailbox = Mailbox.new
      @queue = Queue.new
      check_options
    end

    # @return [Integer] connections this worker needs
    def connections = @concurrency + 2 + (@listen_url ? 1 : 0)

    # Works until stopped.
    # @param signals [Boolean] whether TERM and INT stop it and QUIT halts it
    # @return [Integer] 0 when everything begun was finished, 1 when it was cut short
    # @raise [ExtensionMissing, IncompatibleExtension, ConnectionError] when it cannot start
    def run(signals: false)
      boot
      previous = signals ? trap_signals : {}
      start_threads
      forced = supervise
      forced ? cut_short : finish
    ensure
      previous&.each { |name, handler| trap(name, handler || "DEFAULT") }
    end

    # Stops claiming and lets {#run} return when the handlers are done; a second
    # call does not wait for them. May be called from any thread and from a trap.
    def stop = @mailbox.post("T")

    # Lets {#run} return without waiting for handlers; their steps are given back.
    def halt = @mailbox.post("Q")

    private

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

    def boot
      client = Client.new(@connection)
      version = client.check_extension
      register_templates(client) if @register
      @log.info("worker starts", worker_id: @worker_id, extension: version, concurrency: @concurrency,
                                 connections: connections, tasks: task_names.join(","),
                                 listening: !@listen_url.nil?)
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
      @heartbeat = Heartbeat.new(connection: @connection.spawn, worker_id: @worker_id, lease_seconds: @lease,
                                 leases: @leases, log: @log)
      @claimer = build_claimer(@connection.spawn)
      @heartbeat_thread = thread("heartbeat") { @heartbeat.run }
      @handler_threads = Array.new(@concurrency) { |n| thread("handler #{n + 1}") { work(@connection.spawn) } }
      @claimer_thread = thread("claimer") { @claimer.run }
      @listener = start_listener if @listen_url
    end

    # A thread that dies takes the worker down loudly instead of leaving half of one.
    def thread(name)
      Thread.new do
        Thread.current.name = "tasker #{name}"
        Thread.current.report_on_exception = false
        ended = false
        yield
        ended = true
      rescue Exception => e # rubocop:disable Lint/RescueException
        @log.fatal("#{name} thread died", error: "#{e.class}: #{e.message}", at: e.backtrace&.first)
      ensure
        @mailbox.post(ended ? "E" : "X")
      end
    end

    def build_claimer(connection)
      Claimer.new(connection: connection, worker_id: @worker_id, concurrency: @concurrency,
                  lease_seconds: @lease, poll_interval: @poll_interval,
                  filters: { namespaces: @namespaces, task_names: task_names }, leases: @leases, bell: @bell,
                  log: @log, max_steps: @max_steps) { |claims| deliver(claims, connection) }
    end

    def start_listener
      namespaces = task_names.map { |name| name.split("/").first }.uniq
      Listener.new(@listen_url, channels: ["tasker_ready"], log: @log) do |_channel, namespace|
        @bell.ring if namespace.nil? || namespace.empty? || namespaces.include?(namespace)
      end.start
    end

    # What arrives after the stop was claimed by a call already under way.
    def deliver(claims, connection)
      return claims.each { |claim| @queue << claim } unless @stopping

      release(claims, connection)
      claims.each { |claim| @leases.remove(claim.workflow_step_id) }
    end

    def work(connection)
      runner = Runner.new(connection: connection, registry: @registry, leases: @leases, worker_id: @worker_id,
                          lease_seconds: @lease, log: @log, bell: @bell)
      while (claim = @queue.pop)
        begin
          runner.run(claim)
        ensure
          @leases.remove(claim.workflow_step_id)
        end
        @claimer.slot_freed
        @mailbox.post("E") if @leases.empty?
      end
    ensure
      connection.close
    end

    # @return [Boolean] whether the shutdown is a forced one
    def supervise
      deadline = nil
      until done?
        bytes = @mailbox.take(deadline && (deadline - Backoff.monotonic))
        return true if bytes.include?("Q") || bytes.include?("X")

        bytes.count("T").times do
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

    def finish
      stop_helpers
      @handler_threads.each { |thread| thread.join(LAST_CALLS) }
      @log.info("worker stopped")
      0
    end

    # Handlers still running end with the process. A step inside
    # step.transaction stays locked until then, and comes back when its lease ends.
    def cut_short
      @stopping = true
      @claimer.stop
      claims = @leases.claims
      @log.warn("giving back what is not finished",
                steps: claims.map { |claim| "#{claim.step_name}(#{claim.workflow_step_id})" }.join(","))
      Thread.new { release_all }.join(LAST_CALLS)
      stop_helpers
      1
    end

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
