# frozen_string_literal: true

require "fileutils"
require "open3"
require "tmpdir"

# A Rails application in a directory of its own, as `rails new` would make it but
# for what this gem has nothing to do with, and with a database of its own.
class RailsApplication
  LIBRARY = File.expand_path("../../lib", __dir__)

  attr_reader :root

  # @param parameters [Hash] of libpq, to a server that databases can be created on
  def initialize(parameters)
    @parameters = parameters
    @database = "tasker_rails_#{SecureRandom.hex(4)}"
    @root = Dir.mktmpdir("tasker_rails")
    on_server { |pg| databases.each { |name| pg.exec("CREATE DATABASE #{name} TEMPLATE template0") } }
    write_files
  end

  def close
    FileUtils.rm_rf(@root)
    on_server { |pg| databases.each { |name| pg.exec("DROP DATABASE IF EXISTS #{name} WITH (FORCE)") } }
  end

  # The second one is that of the environment test.
  def databases = [@database, "#{@database}_test"]

  def on_database(name = @database, &block) = connected(@parameters.merge(dbname: name), &block)

  def write(path, text)
    file = File.join(@root, path)
    FileUtils.mkdir_p(File.dirname(file))
    File.write(file, text)
  end

  def read(path) = File.read(File.join(@root, path))

  # @return [String] what it printed
  def rails(*arguments, env: "development") = ruby("bin/rails", *arguments, env: env)

  # @param code [String] run with the application loaded
  def runner(code)
    write("script.rb", code)
    rails("runner", "script.rb")
  end

  def ruby(*command, env: "development")
    environment = { "RAILS_ENV" => env, "TASKER_URL" => nil, "DATABASE_URL" => nil, "DISABLE_SPRING" => "1" }
    output, status = Open3.capture2e(environment, "timeout", "300", RbConfig.ruby, "-W0", "-I", LIBRARY, *command, chdir: @root)
    raise "#{command.join(" ")} failed:\n#{output.lines.map { |line| "#{line[0, 300]}\n" }.join}" unless status.success?

    output
  end

  private

  def on_server(&block) = connected(@parameters, &block)

  def connected(parameters)
    pg = PG.connect(parameters)
    yield pg
  ensure
    pg&.close
  end

  def write_files
    write("bin/rails", <<~RUBY)
      APP_PATH = File.expand_path("../config/application", __dir__)
      require_relative "../config/boot"
      require "rails/commands"
    RUBY
    write("config/boot.rb", "ENV['RAILS_ENV'] ||= 'development'\n")
    write("config/application.rb", <<~RUBY)
      require "rails"
      require "active_record/railtie"
      require "active_job/railtie"
      require "tasker_core"

      module Shop
        class Application < Rails::Application
          config.load_defaults "\#{Rails::VERSION::MAJOR}.\#{Rails::VERSION::MINOR}"
          config.eager_load = false
          config.log_level = :warn
          config.active_job.queue_adapter = :tasker_core
          config.secret_key_base = "test"
        end
      end
    RUBY
    write("config/environment.rb", "require_relative 'application'\nRails.application.initialize!\n")
    write("Rakefile", "require_relative 'config/application'\nRails.application.load_tasks\n")
    write("config/database.yml", database_yml)
    write("app/models/application_record.rb", "class ApplicationRecord < ActiveRecord::Base\n  self.abstract_class = true\nend\n")
  end

  def database_yml
    options = @parameters.slice(:host, :port, :password).merge(username: @parameters[:user]).compact
                         .map { |key, value| "  #{key}: #{value.inspect}\n" }.join
    %w[development test].zip(databases).map do |env, database|
      "#{env}:\n  adapter: postgresql\n  database: #{database}\n  pool: 10\n#{options}"
    end.join
  end
end
