# frozen_string_literal: true

require "monitor"

module TaskerCore
  # The task handlers of this process, by namespace, name and version.
  class Registry
    def initialize
      @mutex = Mutex.new
      @handlers = {}.freeze
      @blocks = {}.freeze
      @loading = Monitor.new
      @loader = nil
      @stale = false
    end

    # Says how to fill this registry when it is first asked for something. Code that
    # only creates tasks builds no handlers so.
    # @yieldparam registry [Registry]
    def fill_with(&loader)
      @loader = loader
      @stale = true
    end

    # The handlers are built anew when they are needed next: their classes have changed.
    def reload = @stale = !@loader.nil?

    # A block as the handler of every step of this name for which the template names none. It has to
    # be there before the template is registered.
    # @param name [String]
    # @yieldparam task [Task]
    # @yieldparam sequence [StepSequence]
    # @yieldparam step [Step]
    # @raise [ConfigurationError] when there is one already
    def step(name, &block)
      raise ArgumentError, "a block is needed" unless block

      @mutex.synchronize do
        raise ConfigurationError, "step #{name} has a block already" if @blocks.key?(name.to_s)

        @blocks = { **@blocks, name.to_s => block }.freeze
      end
    end

    # Loads templates, builds their handlers and keeps them. Writes nothing to
    # any database; a worker or `tasker register` does that.
    #
    # @param source [String, Hash, Template] a file, a directory, YAML text, or a definition
    # @param handlers [Hash{String => Object}] see {TaskHandler::Base}
    # @return [Array<TaskHandler::Base>]
    # @raise [TemplateError]
    # @raise [HandlerNotFound] listing every class of every template that is missing or unusable
    def register(source, env: Template.default_env, handlers: {})
      templates = load(source, env)
      faults = []
      built = templates.filter_map do |template|
        TaskHandler::Base.new(config: template, handlers: handlers, blocks: @blocks)
      rescue HandlerNotFound => e
        faults << e.message
        nil
      end
      raise HandlerNotFound, faults.join("\n") unless faults.empty?

      built.each { |handler| add(handler) }
    end

    # @param handler [TaskHandler::Base]
    def add(handler)
      template = handler.template
      @mutex.synchronize do
        versions = @handlers.fetch(template.full_name, {}).merge(template.version => handler)
        @handlers = @handlers.merge(template.full_name => versions.freeze).freeze
      end
      handler
    end

    # Tasks of a version that this process does not have run with the handlers
    # of the version registered last: code is deployed as a whole, while tasks
    # of older versions are still on their way.
    #
    # @param full_name [String] 'namespace/name'
    # @return [TaskHandler::Base, nil]
    def fetch(full_name, version = nil)
      versions = handlers[full_name] or return
      versions[version] || versions.each_value.to_a.last
    end

    # @return [Array<String>] 'namespace/name' of everything registered
    def task_names = handlers.keys

    # @return [Array<TaskHandler::Base>]
    def to_a = handlers.values.flat_map(&:values)

    # @return [Boolean]
    def empty? = handlers.empty?

    private

    def handlers
      @loading.synchronize { fill if @stale }
      @handlers
    end

    # What the loader itself asks for must not start it again.
    def fill
      @stale = false
      @loader.call(self)
    rescue StandardError
      @stale = true
      raise
    end

    def load(source, env)
      case source
      when Template then [source]
      when Hash then [Template.new(source, env: env)]
      else Template.load(source, env: env)
      end
    end
  end
end
