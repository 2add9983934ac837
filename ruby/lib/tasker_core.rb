# frozen_string_literal: true

require "monitor"

require_relative "tasker_core/version"
require_relative "tasker_core/errors"
require_relative "tasker_core/value"
require_relative "tasker_core/types"
require_relative "tasker_core/codec"
require_relative "tasker_core/functions"
require_relative "tasker_core/connection"
require_relative "tasker_core/client"
require_relative "tasker_core/template"
require_relative "tasker_core/trace_context"
require_relative "tasker_core/step_handler"
require_relative "tasker_core/decision"
require_relative "tasker_core/batchable"
require_relative "tasker_core/sub_workflow"
require_relative "tasker_core/task_handler"
require_relative "tasker_core/registry"
require_relative "tasker_core/log"
require_relative "tasker_core/backoff"
require_relative "tasker_core/listener"
require_relative "tasker_core/worker"
require_relative "tasker_core/events"
require_relative "tasker_core/inline"
require_relative "tasker_core/performance"

# Client and worker for the PostgreSQL extension tasker_core, which decides what
# runs when; this gem calls its functions and runs handlers.
module TaskerCore
  @mutex = Monitor.new
  @defaults = {}

  class << self
    # @return [Log] where the worker writes
    attr_writer :log

    # @param on_error [#call, nil] gets every error that no caller can be given, with keywords that say
    #   where it happened; without one they are logged
    attr_writer :on_error

    # @param executor [#call, nil] called with a block around every step that a worker runs
    attr_writer :executor

    # @return [String, Hash, nil] a direct connection for LISTEN, where {connection} is pooled;
    #   by default TASKER_LISTEN_URL
    attr_writer :listen_url

    # Settings in one place.
    # @yieldparam settings this module
    # @return [TaskerCore]
    def configure
      yield self
      self
    end

    # @return [String, Hash, nil]
    def listen_url = @listen_url || ENV.fetch("TASKER_LISTEN_URL", nil)

    # @param source a URL, a PG::Connection, ActiveRecord, a Sequel::Database, a pool, ...; see {Connection}
    def connection=(source)
      wrapped = source && Connection.wrap(source)
      @mutex.synchronize do
        @connection = wrapped
        @client = nil
      end
    end

    # @return [Connection] by default to TASKER_URL, DATABASE_URL, or what libpq's own variables name;
    #   in a Rails application ActiveRecord's
    def connection
      @mutex.synchronize { default_connection }
    end

    # @return [Client] of {connection}
    def client
      @mutex.synchronize { @client ||= Client.new(default_connection) }
    end

    # @return [Registry] the templates and handlers of this process
    def registry
      @mutex.synchronize { @registry ||= Registry.new }
    end

    # @return [Log]
    def log
      @mutex.synchronize { @log ||= default(:log) || Log.open($stderr) }
    end

    # @return [#call, nil]
    def on_error = @on_error || default(:on_error)

    # @return [#call, nil] in a Rails application its reloader
    def executor = @executor || default(:executor)

    # @see Registry#register
    def register(source, **options) = registry.register(source, **options)

    # @see Registry#step
    def step(name, &block) = registry.step(name, &block)

    # @see Client#create_task
    def create_task(name, **options) = client.create_task(name, **options)

    # What a framework knows better than this gem, for as long as nobody says otherwise.
    # @api private
    def set_default(name, &block)
      @mutex.synchronize { @defaults = { **@defaults, name => block }.freeze }
    end

    # @api private
    def report_error(error, **context)
      return on_error.call(error, **context) if on_error

      told = context.transform_values { |value| value.is_a?(Event) ? "#{value.name} #{value.cursor}" : value }
      log.error("#{error.class}: #{error.message}", **told, at: error.backtrace&.first)
    rescue StandardError => e
      log.error("on_error raised #{e.class}: #{e.message}", at: e.backtrace&.first)
    end

    private

    def default(name) = @defaults[name]&.call

    def default_connection
      @connection ||= Connection.wrap(default(:connection) || ENV["TASKER_URL"] || ENV["DATABASE_URL"] || "")
    end
  end
end

require_relative "tasker_core/railtie" if defined?(Rails::Railtie)
