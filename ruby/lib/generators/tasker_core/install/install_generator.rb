# frozen_string_literal: true

require "rails/generators"
require "rails/generators/active_record"

module TaskerCore
  # Generators of a Rails application.
  module Generators
    # `rails generate tasker_core:install`: a migration that installs the
    # extension, an initializer, a place for templates, and bin/tasker.
    class InstallGenerator < ::Rails::Generators::Base
      include ::ActiveRecord::Generators::Migration

      source_root File.join(__dir__, "templates")

      # @api private
      def create_migration_file
        migration_template "install_tasker_core.rb.tt", "db/migrate/install_tasker_core.rb"
      end

      # @api private
      def create_files
        template "initializer.rb.tt", "config/initializers/tasker_core.rb"
        copy_file "tasker.tt", "bin/tasker"
        chmod "bin/tasker", 0o755
        create_file "config/tasker/.keep"
      end

      private

      def migration_version = "#{::ActiveRecord::VERSION::MAJOR}.#{::ActiveRecord::VERSION::MINOR}"
    end
  end
end
