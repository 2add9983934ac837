# frozen_string_literal: true

# The tests with the newest gems that this Ruby can have, of a directory of their
# own. The first time takes minutes: some are compiled.
NEWEST = ENV.fetch("TASKER_NEWEST_GEMS") { File.expand_path("../tmp/newest", __dir__) }

namespace :newest do
  desc "Install the newest pg, Rails, Sequel and connection_pool into #{NEWEST}"
  task :install do
    sh RbConfig.ruby, "-S", "gem", "install", "--no-document", "--install-dir", NEWEST,
       "pg", "activerecord", "activejob", "railties", "sequel", "connection_pool", "minitest"
  end
end

desc "Run all tests with the newest gems"
task "test:newest" do
  Rake::Task["newest:install"].invoke unless File.directory?(File.join(NEWEST, "specifications"))
  preload = "-r#{File.expand_path("../test/support/newest.rb", __dir__)}"
  environment = { "TASKER_NEWEST_GEMS" => NEWEST, "RUBYOPT" => [ENV.fetch("RUBYOPT", nil), preload].compact.join(" ") }
  sh environment, RbConfig.ruby, "-Ilib", "-Itest", "-e",
     'puts "pg #{Gem.loaded_specs["pg"].version}, activerecord #{Gem.loaded_specs["activerecord"].version}"; ' \
     'Dir["test/**/*_test.rb"].sort.each { |file| require "./#{file}" }'
end
