# frozen_string_literal: true

require "test_helper"
require "support/pools"
require "open3"
require "tmpdir"
require "uri"

# Runs what README.md shows, from top to bottom, in one directory and one
# database. A block below a line that ends in a file name and a colon is that
# file; each other block of ruby is a program that has loaded app.rb.
class ReadmeTest < DatabaseTest
  ROOT = File.expand_path("../..", __dir__)
  BLOCK = /^(?:<!-- needs: (?<library>\w+) -->\n)?```(?<language>ruby|yaml|console)\n(?<text>.*?)^```$/m
  # What a program is to print.
  PROMISES = { "TaskerCore::Events.publish(" => /^order.shipped +\{"carrier"=>"PAKET"\}|^order.shipped  \{"carrier" => "PAKET"\}/,
               "SubWorkflow.step" => /^reserve, ship, thank\n\{"label" ?=> ?"PAKET-44"\}/,
               "minitest/autorun" => /2 runs, \d+ assertions, 0 failures, 0 errors/ }.freeze

  def limit = 900

  def setup
    super
    @database = "tasker_readme_#{SecureRandom.hex(4)}"
    connection.query("CREATE DATABASE #{@database} TEMPLATE template0")
    @url = "postgresql:///#{@database}?#{URI.encode_www_form(Pools.parameters.except(:dbname))}"
    @pg = PG.connect(@url)
    @pg.exec("CREATE EXTENSION tasker_core; CREATE TABLE orders (id int); CREATE TABLE stock (left_over int); " \
             "INSERT INTO stock VALUES (10); CREATE TABLE invoices (task_id bigint)")
    @directory = Dir.mktmpdir("tasker_readme")
    FileUtils.mkdir_p(File.join(@directory, "bin"))
    File.write(tool = File.join(@directory, "bin/tasker"), "#!/bin/sh\nexec #{RbConfig.ruby} -W0 -I #{ROOT}/lib #{ROOT}/exe/tasker \"$@\"\n")
    File.chmod(0o755, tool)
  end

  def teardown
    @pg&.close
    connection.query("DROP DATABASE IF EXISTS #{@database} WITH (FORCE)") if @database && @connection
    FileUtils.rm_rf(@directory) if @directory
    super
  end

  def execute(*command)
    environment = { "TASKER_URL" => @url, "PATH" => "#{@directory}/bin:#{ENV.fetch("PATH")}" }
    output, status = Open3.capture2e(environment, "timeout", "300", *command, chdir: @directory)
    assert_predicate status, :success?, "#{command.last}\n#{output}"
    output
  end

  # Subscriptions of a program have to have had their say before it ends.
  def run_program(text, library)
    return if library && !Pools.load(library)

    File.write(File.join(@directory, "program.rb"), <<~RUBY)
      require "tasker_core"
      PRINTED = []
      def puts(*lines) = PRINTED.push(*lines) && super
      #{"require '#{library}'" if library}
      load "app.rb" if File.exist?("app.rb")
      #{text}
      #{wait_for(text)}
    RUBY
    execute(RbConfig.ruby, "-W0", "-I", "#{ROOT}/lib", "program.rb")
  end

  # Durable subscriptions of the page insert an invoice for the task that was completed.
  def wait_for(text)
    return "" unless text.include?("invoices")

    "sleep(0.05) until PG.connect(ENV['TASKER_URL']).exec('SELECT count(*) FROM invoices').getvalue(0, 0).to_i > #{@invoices ||= 0}; " \
      "TaskerCore::Events.stop"
  end

  def test_everything_the_page_shows
    page = File.read(File.join(ROOT, "README.md"))
    matches = page.to_enum(:scan, BLOCK).map { Regexp.last_match }
    assert_operator matches.size, :>=, 12
    matches.each { |match| run_block(match) }
    assert_equal "2", @pg.exec("SELECT count(*) FROM tasker.step_attempts WHERE outcome = 'completed' AND task_id = " \
                               "(SELECT min(task_id) FROM tasker.tasks)").getvalue(0, 0)
    assert_equal "8", @pg.exec("SELECT left_over FROM stock").getvalue(0, 0)
    assert_equal "42", @pg.exec("SELECT min(id) FROM orders").getvalue(0, 0)
  end

  def run_block(match)
    file = match.pre_match[/`([^`\n]+\.(?:rb|yml))`:\s*\z/, 1]
    return save(file, match[:text]) if file
    return run_console(match[:text]) if match[:language] == "console"

    text = match[:text].sub("subscription.unsubscribe", "sleep(0.05) until PRINTED.any?\nsubscription.unsubscribe")
    output = run_program(text, match[:library])
    @invoices = @pg.exec("SELECT count(*) FROM invoices").getvalue(0, 0).to_i
    PROMISES.each { |mark, promise| assert_match(promise, output) if text.include?(mark) }
  end

  def save(file, text)
    FileUtils.mkdir_p(File.dirname(File.join(@directory, file)))
    File.write(File.join(@directory, file), text)
  end

  # Those of Rails are run in an application, in test/rails.
  def run_console(text)
    text.lines.grep(/^\$ /).map { |line| line.delete_prefix("$ ") }.each do |line|
      next if line.start_with?("export", "bin/")

      execute("bash", "-c", line)
    end
  end
end
