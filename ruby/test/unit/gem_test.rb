# frozen_string_literal: true

require "test_helper"
require "open3"
require "rubygems/package"
require "tmpdir"

# The gem as users get it: built, installed elsewhere, loaded from there.
class GemTest < UnitTest
  ROOT = File.expand_path("../..", __dir__)

  def execute(*command, **options)
    environment = command.first.is_a?(Hash) ? command.shift : {}
    output, status = Open3.capture2e({ "RUBYLIB" => nil, **environment }, *command, **options)
    assert_predicate status, :success?, output
    output
  end

  def test_it_builds_installs_and_loads
    Dir.mktmpdir("tasker_gem") do |directory|
      package = File.join(directory, "tasker_core.gem")
      execute(RbConfig.ruby, "-S", "gem", "build", "--output", package, "tasker_core.gemspec", chdir: ROOT)
      files = Gem::Package.new(package).spec.files
      Dir.glob("{lib,exe}/**/*", base: ROOT).reject { |file| File.directory?(File.join(ROOT, file)) }
         .each { |file| assert_includes files, file }
      assert_empty %w[README.md CHANGELOG.md LICENSE] - files
      assert_empty files.grep(%r{\Atest/|Rakefile})
      home = File.join(directory, "home")
      execute(RbConfig.ruby, "-S", "gem", "install", "--local", "--no-document", "--ignore-dependencies",
              "--install-dir", home, package)
      load_installed(home)
    end
  end

  def load_installed(home)
    program = 'Gem.use_paths(ARGV[0], [ARGV[0], *Gem.path]); gem "tasker_core"; require "tasker_core"; ' \
              'require "tasker_core/test_helpers"; require "tasker_core/cli"; ' \
              'puts TaskerCore::VERSION, TaskerCore::StepHandler::Api, $LOADED_FEATURES.grep(/tasker_core\.rb/)'
    output = execute(RbConfig.ruby, "-w", "-e", program, home, chdir: "/")
    assert_equal [TaskerCore::VERSION, "TaskerCore::StepHandler::Api"], output.lines.last(3).first(2).map(&:chomp)
    assert output.lines.last.start_with?(home), output
    assert_match(/tasker_core #{Regexp.escape(TaskerCore::VERSION)}/,
                 execute({ "GEM_PATH" => "#{home}:#{Gem.path.join(":")}" }, File.join(home, "bin/tasker"), "version"))
  end

  def test_only_pg_at_run_time
    assert_equal ["pg"], Gem::Specification.load(File.join(ROOT, "tasker_core.gemspec")).runtime_dependencies.map(&:name)
    loaded = execute(RbConfig.ruby, "-I", File.join(ROOT, "lib"), "-e",
                     'require "tasker_core"; puts $LOADED_FEATURES.grep(%r{net/http|active|rails|sequel|yaml/})')
    assert_empty loaded.lines.grep(/net.http|active_|rails/)
  end
end
