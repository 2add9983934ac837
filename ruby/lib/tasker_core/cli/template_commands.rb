# frozen_string_literal: true

module TaskerCore
  module CLI
    # `tasker template ...`; TEMPLATE is NAME or NAMESPACE/NAME.
    module Commands
      TEMPLATE_COLUMNS = { namespace: "NAMESPACE", name: "NAME", version: "VERSION", step_count: "STEPS",
                           created_at: "REGISTERED", description: "DESCRIPTION" }.freeze
      ENVIRONMENT = { env: ["-e", "--env NAME", String, "which of the templates' environments to merge"] }.freeze

      # Yields each template of the files; a fault is told with the file's name.
      def self.each_template(context)
        env = context.options[:env] || Template.default_env
        context.arguments.flat_map { |path| Template.load(path, env: env) }.map do |template|
          yield template
        rescue InvalidTemplate, TemplateConflict => e
          raise Quit.new(USAGE, "tasker: #{template.path || template.full_name}: #{e.explanation}")
        end
      end

      command("template register PATH...", "register template files or directories", **ENVIRONMENT) do |c|
        rows = each_template(c) do |template|
          row = c.operator.rows(:register_task_template, template: template.definition).first
          row.fetch(:warnings)&.each { |warning| c.out.say("#{template.path}: warning: #{warning}") }
          row
        end
        c.out.table(rows, { namespace: "NAMESPACE", name: "NAME", version: "VERSION", named_task_id: "ID", created: "NEW" })
      end

      command("template validate PATH...", "what registering would say; stores nothing", **ENVIRONMENT) do |c|
        rows = each_template(c) do |template|
          warnings = c.operator.scalar(:validate_task_template, template: template.definition)
          { template: "#{template.full_name} #{template.version}", path: template.path, warnings: warnings || [] }
        end
        c.out.table(rows, { template: "TEMPLATE", path: "FILE", warnings: "WARNINGS" })
      end

      command "template list", "every version of every template",
              namespace: ["-n", "--namespace NAME", String, "of this namespace"] do |c|
        c.out.table(c.operator.templates(namespace: c.options[:namespace]), TEMPLATE_COLUMNS, empty: "no template is registered")
      end

      command "template graph TEMPLATE", "its steps as a picture",
              format: ["-f", "--format FORMAT", %w[text mermaid dot], "text (default), mermaid or dot"],
              version: ["--template-version V", String, "instead of the highest"] do |c|
        namespace, _, name = c.arguments.first.rpartition("/")
        graph = c.operator.scalar(:template_graph, name: name, namespace: namespace.empty? ? nil : namespace,
                                                   version: c.options[:version], format: c.options.fetch(:format, "text"))
        c.out.json({ graph: graph })
        c.out.say(graph)
      end
    end
  end
end
