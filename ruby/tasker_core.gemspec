# frozen_string_literal: true

require_relative "lib/tasker_core/version"

Gem::Specification.new do |spec|
  spec.name = "tasker_core"
  spec.version = TaskerCore::VERSION
  spec.authors = ["The tasker_core contributors"]
  spec.summary = "Client and worker for tasker_core, workflows that live in PostgreSQL"
  spec.description = "Calls the functions of the PostgreSQL extension tasker_core and runs the handlers of " \
                     "workflow steps. What runs when is decided in the database."
  spec.license = "PostgreSQL"
  spec.required_ruby_version = ">= 3.1"

  spec.files = Dir.chdir(__dir__) do
    Dir["lib/**/*", "sig/**/*.rbs", "exe/*", "README.md", "CHANGELOG.md", "LICENSE"].select { |path| File.file?(path) }
  end
  spec.bindir = "exe"
  spec.executables = ["tasker"]
  spec.require_paths = ["lib"]

  spec.metadata["rubygems_mfa_required"] = "true"

  spec.add_runtime_dependency "pg", ">= 1.4.5", "< 2"
end
