# frozen_string_literal: true

require "test_helper"
require "open3"
require "tempfile"

# The operators' commands as far as they need no database.
class CommandsTest < UnitTest
  Commands = TaskerCore::CLI::Commands
  Watch = TaskerCore::CLI::Watch

  def cli(*arguments)
    out = StringIO.new
    err = StringIO.new
    [TaskerCore::CLI.run(arguments, out: out, err: err), out.string, err.string]
  end

  def test_every_command_has_help_that_lists_its_options
    Commands::TABLE.each_value do |command|
      status, out, = cli(*command.words, "--help")
      assert_equal 0, status, command.name
      assert_includes out, command.text
      command.options.each { |option| option.flags.each { |flag| assert_includes out, flag.sub("--no-", "") } }
    end
  end

  def test_wrong_usage
    [%w[task], %w[task dance], %w[task show], %w[task show x], %w[task show 1 2], %w[step resolve 1],
     %w[task list --dance], %w[completion fish], %w[template graph parcel -f jpeg], %w[template register]].each do |arguments|
      status, out, err = cli(*arguments)
      assert_equal [2, ""], [status, out], arguments.inspect
      refute_empty err
    end
  end

  def test_help_of_a_group
    status, out, = cli("help", "step")
    assert_equal 0, status
    %w[show explain reset resolve skip].each { |verb| assert_match(/^  step #{verb} STEP/, out) }
  end

  # @return [Array<String>] what bash offers behind these words
  def offered(*words)
    script = TaskerCore::CLI::Completion.script("bash")
    line = "COMP_WORDS=(tasker #{words.map { |word| "'#{word}'" }.join(" ")}); COMP_CWORD=#{words.size}; _tasker"
    out, status = Open3.capture2e("bash", "-c", "#{script}\n#{line}\nprintf '%s\\n' \"${COMPREPLY[@]}\"")
    assert_predicate status, :success?, out
    out.split("\n")
  end

  def test_completion_in_bash
    assert_includes offered(""), "task"
    assert_equal %w[task template], offered("t").first(2)
    assert_equal %w[create list show watch cancel pause resume signal retry], offered("task", "")
    assert_equal %w[reset resolve], offered("step", "res")
    assert_equal %w[list create pause resume drop], offered("schedule", "")
    assert_equal ["--reason"], offered("task", "cancel", "--rea")
    assert_equal %w[--format], offered("template", "graph", "--fo")
    assert_includes offered("events", "tail", "--"), "--no-follow"
    assert_includes offered("doctor", "--"), "--strict"
    assert_includes offered("worker", "--conc"), "--concurrency"
    assert_equal %w[resolve], offered("dead-letters", "res")
  end

  def test_completion_in_zsh
    skip "no zsh here" unless system("zsh", "-c", "true", out: File::NULL, err: File::NULL)

    Tempfile.create("tasker-completion") do |file|
      file.write(TaskerCore::CLI::Completion.script("zsh"))
      file.flush
      out, status = Open3.capture2e("zsh", "-f", "-c", "autoload -Uz compinit && compinit -u -D && source #{file.path} && whence -w _tasker")
      assert_predicate status, :success?, out
      assert_match(/_tasker: function/, out)
    end
  end

  def test_the_estimate_is_honest
    assert_equal "no past runs to estimate from", Watch.estimate([], 3.0)
    assert_equal "has taken longer than the one past run", Watch.estimate([2.0], 3.0)
    assert_equal "has taken longer than all 2 past runs", Watch.estimate([1.0, 2.0], 2.0)
    assert_equal "about 7.0 s left (3 of 4 past runs took longer than this one so far: 2.0 s to 97 s more)",
                 Watch.estimate([1.0, 5.0, 10.0, 100.0], 3.0)
  end

  def test_durations
    assert_equal ["0.5 s", "42 s", "5 min", "2.5 h"], [0.5, 42.4, 300, 9000].map { |seconds| Watch.duration(seconds) }
  end

  def test_escape_sequences_from_the_database_do_not_reach_the_terminal
    io = StringIO.new
    out = TaskerCore::CLI::Output.new(io, terminal: true)
    out.table([{ name: "a\e[2Jb\u0007", state: "error" }], { name: "NAME", state: "STATE" })
    assert_includes io.string, "a�[2Jb�"
    assert_includes io.string, "\e[31merror\e[0m"
    out.say("x\e]0;title\u0007")
    refute_includes io.string, "\e]"
  end

  def test_tables_are_aligned_and_json_is_json
    io = StringIO.new
    TaskerCore::CLI::Output.new(io).table([{ id: 1, name: "long name", at: nil }, { id: 100, name: "b", at: true }],
                                          { id: "ID", name: "NAME", at: "AT" })
    assert_equal "ID   NAME       AT\n1    long name  -\n100  b          yes\n", io.string
    io = StringIO.new
    out = TaskerCore::CLI::Output.new(io, json: true)
    out.say("for people")
    out.table([{ at: Time.utc(2026, 1, 2, 3, 4, 5) }], { at: "AT" })
    assert_equal [{ "at" => "2026-01-02T03:04:05.000000Z" }], JSON.parse(io.string)
  end
end
