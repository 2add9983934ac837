# frozen_string_literal: true

require "test_helper"
require "tmpdir"

class CLITest < UnitTest
  UNREACHABLE = "postgresql:///x?host=/nonexistent"

  # @return [Array(Integer, String, String)] status, standard output, standard error
  def cli(*arguments)
    out = StringIO.new
    err = StringIO.new
    [TaskerCore::CLI.run(arguments, out: out, err: err), out.string, err.string]
  end

  def with_file(text, name = "app.rb")
    Dir.mktmpdir do |directory|
      path = File.join(directory, name)
      File.write(path, text)
      yield path
    end
  end

  def test_version_and_help
    assert_equal [0, "tasker_core #{TaskerCore::VERSION}\n", ""], cli("version")
    status, out, = cli("help")
    assert_equal 0, status
    assert_match(/Usage: tasker COMMAND/, out)
    status, out, = cli("worker", "--help")
    assert_equal 0, status
    %w[--concurrency --namespaces --require --url --no-listen --poll-interval --lease --shutdown-timeout
       --max-steps --log-level --log-format].each { |option| assert_includes out.sub("[no-]", "no-"), option }
  end

  def test_wrong_usage
    [[], ["dance"], ["worker", "--dance"], ["worker", "-c", "many"], ["worker", "extra"], ["worker"],
     ["register"], ["register", "/nowhere.yml"], ["worker", "-l", "loud"]].each do |arguments|
      status, out, err = cli(*arguments)
      assert_equal [2, ""], [status, out], arguments.inspect
      refute_empty err
    end
  end

  def test_a_file_that_cannot_be_loaded_says_where
    with_file("raise 'no settings'") do |path|
      status, _, err = cli("worker", "-r", path, "--url", UNREACHABLE)
      assert_equal 2, status
      assert_match(/RuntimeError: no settings\n.*app\.rb:1/, err)
    end
    status, _, err = cli("worker", "-r", "/nowhere.rb", "--url", UNREACHABLE)
    assert_equal 2, status
    assert_match(/LoadError/, err)
  end

  def test_missing_handlers_are_a_configuration_error
    with_file("TaskerCore.register({ name: 'x', steps: [{ name: 'a', handler_class: 'Nope' }] })") do |path|
      status, _, err = cli("worker", "-r", path, "--url", UNREACHABLE)
      assert_equal 2, status
      assert_match(/step a: class Nope is not defined/, err)
    end
  end

  def test_an_unreachable_database
    with_file("name: x\nsteps: [{name: a}]\n", "x.yml") do |path|
      assert_equal 4, cli("register", path, "--url", UNREACHABLE).first
    end
    assert_equal 4, cli("check", "--url", UNREACHABLE).first
  end

  def test_a_bad_template_file_is_told_by_name
    with_file("name: x\nversion: 1.10\n", "x.yml") do |path|
      status, _, err = cli("register", path, "--url", UNREACHABLE)
      assert_equal 2, status
      assert_match(/x\.yml: version must be a string/, err)
    end
  end
end
