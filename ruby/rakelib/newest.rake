# frozen_string_literal: true

# The tests with the newest gems that this Ruby can have, in a directory of their own.
NEWEST = ENV.fetch("TASKER_NEWEST_GEMS") { File.expand_path("../tmp/newest", __dir__) }
NEWEST_NAMES = %w[pg activerecord activejob railties sequel connection_pool minitest rbs yard].freeze

namespace :newest do
  desc "Install the newest #{NEWEST_NAMES.join(", ")} into #{NEWEST}"
  task :install do
    environment = { "GEM_HOME" => NEWEST, "GEM_PATH" => NEWEST }
    install = [RbConfig.ruby, "-S", "gem", "install", "--no-document", "--minimal-deps"]
    # Rails needs it. What is precompiled of newer ones an older RubyGems cannot take, and compiling takes minutes.
    sh environment, *install, "nokogiri:~> 1.17.2" if Gem.rubygems_version < Gem::Version.new("3.3.22")
    sh environment, *install, *NEWEST_NAMES
  end
end

desc "Run all tests with the newest gems"
task "test:newest" do
  installed = NEWEST_NAMES.all? { |name| Dir.glob(File.join(NEWEST, "specifications", "#{name}-[0-9]*")).any? }
  Rake::Task["newest:install"].invoke unless installed
  preload = "-r#{File.expand_path("../test/support/newest.rb", __dir__)}"
  environment = { "TASKER_NEWEST_GEMS" => NEWEST, "RUBYOPT" => [ENV.fetch("RUBYOPT", nil), preload].compact.join(" ") }
  sh environment, RbConfig.ruby, "-Ilib", "-Itest", "-e",
     'puts "pg #{Gem.loaded_specs["pg"].version}, activerecord #{Gem.loaded_specs["activerecord"].version}"; ' \
     'Dir["test/**/*_test.rb"].sort.each { |file| require "./#{file}" }'
end
