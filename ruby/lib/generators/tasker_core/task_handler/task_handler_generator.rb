# frozen_string_literal: true

require "rails/generators"

module TaskerCore
  # Generators of a Rails application.
  module Generators
    # `rails generate tasker_core:task_handler NAMESPACE/NAME STEP[:PARENT,PARENT] ...`: a template,
    # a handler for each step, and a test.
    class TaskHandlerGenerator < ::Rails::Generators::NamedBase
      source_root File.join(__dir__, "templates")
      argument :steps, type: :array, banner: "step[:parent,parent] ..."

      # @api private
      def create_files
        template "template.yml.tt", "config/tasker/#{file_path}.yml"
        parsed_steps.each do |step, _parents|
          @step = step
          template "step_handler.rb.tt", "app/workflows/#{file_path}/#{step.underscore}.rb"
        end
        template "task_test.rb.tt", "test/workflows/#{file_path}_test.rb"
      end

      private

      # @return [Array<Array(String, Array<String>)>] names and parents
      def parsed_steps
        steps.map do |text|
          step, parents = text.split(":", 2)
          [step, parents.to_s.split(",")]
        end
      end

      def task_namespace = class_path.empty? ? "default" : class_path.join(".")

      def step_class(step) = "#{class_name}::#{step.underscore.camelize}"
    end
  end
end
