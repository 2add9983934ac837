# frozen_string_literal: true

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
require_relative "tasker_core/task_handler"
require_relative "tasker_core/registry"
require_relative "tasker_core/log"
require_relative "tasker_core/backoff"
require_relative "tasker_core/listener"
require_relative "tasker_core/worker"

# Client and worker for the PostgreSQL extension tasker_core, which decides what
# runs when; this gem calls its functions and runs handlers.
module TaskerCore
  @mutex = Mutex.new

  class << self
    # @return [Log] where the worker writes
    attr_writer :log

    # @param source a URL, a Hash, a PG::Connection, a Proc or a pool; see {Connection}
    def connection=(source)
      wrapped = source && Connection.wrap(source)
      @mutex.synchronize do
        @connection = wrapped
        @client = nil
      end
    end

    # @return [Connection] by default to TASKER_URL, DATABASE_URL, or what libpq's own variables name
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

    def log
      @mutex.synchronize { @log ||= Log.open($stderr) }
    end

    # @see Registry#register
    def register(source, **options) = registry.register(source, **options)

    # @see Client#create_task
    def create_task(name, **options) = client.create_task(name, **options)

    private

    def default_connection
      @connection ||= Connection.wrap(ENV["TASKER_URL"] || ENV["DATABASE_URL"] || "")
    end
  end
end
