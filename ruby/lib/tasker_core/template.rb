# frozen_string_literal: true

require "yaml"

module TaskerCore
  # A template as its author wrote it, with the deployment's environment merged
  # in. Nothing else is changed or checked here: the extension validates.
  class Template
    # What the client needs to know of a step in order to build its handler.
    StepDefinition = Value.define(:name, :handler_class, :handler_config, :handler_method, :handler_resolver,
                                  :for_worker) do
      # @return [Boolean] false for what the extension does itself: waits, sub-workflows, SQL
      def for_worker? = for_worker
    end
    # Keys of steps that no worker takes.
    WITHOUT_WORKER = %w[wait_for_signal workflow].freeze
    private_constant :WITHOUT_WORKER

    # @return [Hash] the frozen definition, as it goes to the extension
    attr_reader :definition
    # @return [String, nil] the file it came from
    attr_reader :path

    class << self
      # @param source [String, Pathname] a file, a directory (all *.yml and *.yaml below it) or YAML text
      # @param env [String, nil] which of `environments` to merge
      # @return [Array<Template>]
      # @raise [TemplateError]
      def load(source, env: default_env)
        text = source.to_s
        if File.directory?(text)
          load_directory(text, env)
        elsif File.file?(text)
          [parse(read(text), env: env, path: text)]
        elsif text.include?("\n")
          [parse(text, env: env)]
        else
          raise TemplateError, "no such template file or directory: #{text}"
        end
      end

      # @return [String, nil] TASKER_ENV or RAILS_ENV
      def default_env = ENV["TASKER_ENV"] || ENV["RAILS_ENV"]

      private

      def load_directory(directory, env)
        files = Dir.glob(File.join(directory, "**", "*.{yml,yaml}")).sort
        raise TemplateError, "no *.yml or *.yaml below #{directory}" if files.empty?

        files.map { |file| parse(read(file), env: env, path: file) }
      end

      def read(path)
        File.read(path, encoding: Encoding::UTF_8)
      rescue SystemCallError => e
        raise TemplateError, "#{path}: #{e.message}"
      end

      def parse(text, env:, path: nil)
        where = path || "template"
        documents = Psych.parse_stream(text, filename: where).children.size
        raise TemplateError, "#{where}: one YAML document expected, found #{documents}" unless documents == 1

        new(YAML.safe_load(text, permitted_classes: [Symbol], aliases: true, filename: where),
            env: env, path: path)
      rescue Psych::DisallowedClass => e
        raise TemplateError, "#{where}: #{e.message}; put dates and times in quotes"
      rescue Psych::Exception => e
        raise TemplateError, e.message
      end
    end

    # @param definition [Hash] in either dialect; symbols may stand for strings
    # @param env [String, nil]
    # @raise [TemplateError]
    def initialize(definition, env: nil, path: nil)
      @path = path
      refuse("a mapping is expected, not #{definition.class}") unless definition.is_a?(Hash)
      plain = plain(definition)
      check_version(plain)
      @definition = deep_freeze(merge_environment(plain, env))
      freeze
    end

    # @return [String]
    def name = definition["name"]

    # @return [String]
    def namespace = definition["namespace"] || definition["namespace_name"] || "default"

    # @return [String]
    def version = definition["version"] || "0.1.0"

    # @return [String] 'namespace/name', as claim_steps filters by it
    def full_name = "#{namespace}/#{name}"

    # @return [Array<StepDefinition>]
    def steps
      list_of_steps(definition).map do |step|
        handler = step["handler"].is_a?(Hash) ? step["handler"] : {}
        StepDefinition.new(
          name: step["name"],
          handler_class: handler["callable"] || step["handler_class"],
          handler_config: handler["initialization"] || step["handler_config"] || {},
          handler_method: handler["method"],
          handler_resolver: handler["resolver"],
          for_worker: !handler.key?("sql") && WITHOUT_WORKER.none? { |key| step.key?(key) }
        )
      end
    end

    # @return [Array<String>] 'namespace/name' of the templates that steps of this one run as tasks
    def workflows
      started = list_of_steps(definition).filter_map { |step| step["workflow"] }.grep(Hash)
      started.map { |workflow| "#{workflow["namespace"] || namespace}/#{workflow["name"]}" }.uniq
    end

    # @return [String] the definition as JSON
    def to_json(*options) = definition.to_json(*options)

    # @return [String]
    def inspect = "#<#{self.class.name} #{full_name} #{version}>"

    private

    def refuse(what)
      raise TemplateError, "#{path || "template"}: #{what}"
    end

    # Symbols become strings, as they would in JSON.
    def plain(value)
      case value
      when Hash then value.to_h { |key, element| [key.is_a?(Symbol) ? key.to_s : key, plain(element)] }
      when Array then value.map { |element| plain(element) }
      when Symbol then value.to_s
      else value
      end
    end

    # YAML reads an unquoted 1.10 as the number 1.1, which is another version.
    def check_version(definition)
      return unless definition.key?("version") && !definition["version"].is_a?(String)

      refuse("version must be a string, not #{definition["version"].inspect}; write it in quotes: version: \"1.10\"")
    end

    def list_of_steps(definition)
      (definition["steps"] || definition["step_templates"] || []).grep(Hash)
    end

    def merge_environment(definition, env)
      environments = definition.fetch("environments", nil) || {}
      refuse("environments must be a mapping of names") unless environments.is_a?(Hash)
      rest = definition.reject { |key, _| key == "environments" }
      return rest unless env && environments[env.to_s]

      overrides = environments[env.to_s]
      refuse("environments.#{env} must be a mapping") unless overrides.is_a?(Hash)
      step_keys = %w[steps step_templates step_overrides]
      merged = deep_merge(rest, overrides.reject { |key, _| step_keys.include?(key) })
      check_version(merged)
      merge_steps(merged, step_overrides(overrides.slice(*step_keys), env), env)
    end

    # Overrides come as a list with names, or as a mapping by name.
    # @return [Array<Array(String, Hash)>]
    def step_overrides(sections, env)
      pairs = sections.values.compact.flat_map do |section|
        section.is_a?(Hash) ? section.to_a : Array(section).map { |step| [step.is_a?(Hash) && step["name"], step] }
      end
      bad = pairs.find { |name, override| !name.is_a?(String) || !override.is_a?(Hash) }
      refuse("environments.#{env}: every step override needs the name of a step, or ALL") if bad
      pairs.map { |name, override| [name, override.reject { |key, _| key == "name" }] }
    end

    # ALL first, so that a step's own override wins.
    def merge_steps(definition, overrides, env)
      key = definition.key?("steps") ? "steps" : "step_templates"
      names = list_of_steps(definition).map { |step| step["name"] }
      unknown = overrides.map(&:first) - names - ["ALL"]
      refuse("environments.#{env} overrides unknown steps: #{unknown.join(", ")}") unless unknown.empty?
      return definition if overrides.empty?

      definition.merge(key => definition[key].map { |step| override_step(step, overrides) })
    end

    def override_step(step, overrides)
      ordered = overrides.select { |name, _| name == "ALL" } + overrides.select { |name, _| name == step["name"] }
      ordered.reduce(step) { |merged, (_, override)| deep_merge(merged, override) }
    end

    def deep_merge(base, changes)
      base.merge(changes) do |_key, old, new|
        old.is_a?(Hash) && new.is_a?(Hash) ? deep_merge(old, new) : new
      end
    end

    def deep_freeze(value)
      case value
      when Hash then value.each { |key, element| [key, element].each { |part| deep_freeze(part) } }
      when Array then value.each { |element| deep_freeze(element) }
      end
      value.freeze
    end
  end
end
