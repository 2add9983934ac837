# frozen_string_literal: true

module TaskerCore
  # Makes a Rails application's own things the defaults: ActiveRecord's
  # connections, its logger, its reloader around each step, its error reporter.
  #
  # `config.tasker_core.templates` ("config/tasker") is where a worker of the
  # application finds its templates; `config.tasker_core.job_queues` (["default"])
  # which queues it serves if `config.active_job.queue_adapter` is `:tasker_core`.
  class Railtie < ::Rails::Railtie
    config.tasker_core = ActiveSupport::OrderedOptions.new
    config.tasker_core.templates = "config/tasker"
    config.tasker_core.job_queues = ["default"]

    initializer "tasker_core.defaults" do |app|
      TaskerCore.set_default(:connection) { ::ActiveRecord::Base if defined?(::ActiveRecord::Base) }
      TaskerCore.set_default(:log) { Log.new(::Rails.logger) if ::Rails.logger }
      TaskerCore.set_default(:executor) { ->(&block) { app.reloader.wrap(&block) } }
      TaskerCore.set_default(:on_error) { Railtie.error_reporter }
      TaskerCore.registry.fill_with { |registry| Railtie.register(registry, app) }
    end

    config.to_prepare { TaskerCore.registry.reload }

    initializer "tasker_core.active_job", before: "active_job.set_configs" do
      ActiveSupport.on_load(:active_job) { require "active_job/queue_adapters/tasker_core_adapter" }
    end

    rake_tasks { load File.join(__dir__, "tasks.rake") }

    class << self
      # @api private
      def register(registry, app)
        directory = app.root.join(app.config.tasker_core.templates).to_s
        registry.register(directory) if Dir.glob(File.join(directory, "**", "*.{yml,yaml}")).any?
        return unless defined?(::ActiveJob::Base) && job_adapter?(::ActiveJob::Base.queue_adapter)

        ::ActiveJob::QueueAdapters::TaskerCoreAdapter.register(registry, app.config.tasker_core.job_queues)
      end

      # @api private
      def error_reporter
        return unless ::Rails.respond_to?(:error)

        lambda do |error, **context|
          ::Rails.error.report(error, handled: false, context: context.transform_values(&:to_s))
        end
      end

      private

      def job_adapter?(adapter) = adapter.class.name == "ActiveJob::QueueAdapters::TaskerCoreAdapter"
    end
  end
end
