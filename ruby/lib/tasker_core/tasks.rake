# frozen_string_literal: true

namespace :tasker_core do
  desc "Register the templates below config/tasker with the database"
  task register: :environment do
    TaskerCore.registry.to_a.each do |handler|
      result = TaskerCore.client.register_task_template(handler.template)
      Array(result.warnings).each { |warning| warn "#{handler.template.full_name}: warning: #{warning}" }
      puts "#{result.namespace}/#{result.name} #{result.version}: #{result.created? ? "registered" : "unchanged"}"
    end
  end

  desc "Check the extension, and that every step of every template has a handler"
  task check: :environment do
    puts "extension #{TaskerCore.client.check_extension}, gem #{TaskerCore::VERSION}"
    TaskerCore.registry.to_a.each do |handler|
      puts "#{handler.template.full_name} #{handler.template.version}: #{handler.step_handlers.size} handlers"
    end
  end
end

# Rails 7.1 and newer dump every schema, also the one that the extension makes itself:
# loaded before the extension, it would be in its way.
task "db:schema:dump" do
  file = ENV["SCHEMA"] || File.join(ActiveRecord::Tasks::DatabaseTasks.db_dir, "schema.rb")
  next unless File.file?(file) && file.end_with?(".rb")

  text = File.read(file)
  without = text.sub(/^ *create_schema "tasker"\n/, "")
  File.write(file, without) unless without == text
end
