# frozen_string_literal: true

# Runs the workers of examples/workers, each on tasks of its own. Prints TAP; a worker whose language or driver is not
# here is skipped.
#
#   ruby tests/examples/workers.rb     with TASKER_TEST_URL naming a database for it

require "json"
require "open3"
require "pg"
require "tmpdir"

ROOT = File.expand_path("../..", __dir__)
WORKERS = File.join(ROOT, "examples/workers")
URL = ENV.fetch("TASKER_TEST_URL") { abort "TASKER_TEST_URL names no database" }
TASKS = 3
ATTEMPTS = TASKS * 3 # a step of each is tried twice
LIMIT = "120" # seconds, against hanging for ever

def runs?(*command) = system(*command, out: File::NULL, err: File::NULL)

def python
  [ENV["PYTHON"], "python3", "/usr/bin/python3"].compact.find { |candidate| runs?(candidate, "-c", "import psycopg2") }
end

# The driver of Debian or of anybody, else a fresh one from the registry of npm.
def node_with_driver(directory)
  return unless runs?("node", "--version")

  [ENV["NODE_PATH"], "/usr/share/nodejs", "/usr/lib/nodejs"].compact.each do |path|
    return { "NODE_PATH" => path } if runs?({ "NODE_PATH" => path }, "node", "-e", "require('pg')")
  end
  runs?("timeout", "60", "npm", "install", "--silent", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=15000", "--prefix", directory, "pg@8") or return
  { "NODE_PATH" => File.join(directory, "node_modules") }
end

def command_of(language, directory)
  case language
  when "psql" then [{}, File.join(WORKERS, "psql/worker.sh")]
  when "ruby"
    [{}, RbConfig.ruby, "-I", File.join(ROOT, "ruby/lib"), File.join(ROOT, "ruby/exe/tasker"), "worker", "-r",
     File.join(WORKERS, "ruby/worker.rb"), "--url", URL, "--max-steps", ATTEMPTS.to_s]
  when "python" then (found = python) && [{}, found, File.join(WORKERS, "python/worker.py"), ATTEMPTS.to_s]
  when "node" then (env = node_with_driver(directory)) && [env, "node", File.join(WORKERS, "node/worker.js"), ATTEMPTS.to_s]
  end
end

CONNECTION = PG.connect(URL)
CONNECTION.exec("SET client_min_messages = warning")
CONNECTION.exec("CREATE EXTENSION IF NOT EXISTS tasker_core")
CONNECTION.exec(File.read(File.join(WORKERS, "schema.sql")))
CONNECTION.exec_params("SELECT FROM tasker.register_task_template($1)", [File.read(File.join(WORKERS, "welcome.json"))])

def create_tasks
  Array.new(TASKS) do |number|
    CONNECTION.exec_params("SELECT task_id FROM tasker.create_task('welcome', $1, 'examples')", [JSON.generate(user: "user#{number}")]).getvalue(0, 0)
  end
end

# @return [Array<String>] what is wrong
def complaints(language, task_ids)
  ids = "{#{task_ids.join(",")}}"
  states = CONNECTION.exec_params("SELECT state FROM tasker.tasks WHERE task_id = ANY ($1)", [ids]).column_values(0)
  mails = CONNECTION.exec_params("SELECT address, sent_by FROM example_mails WHERE task_id = ANY ($1) ORDER BY address", [ids]).values
  failed = CONNECTION.exec_params("SELECT count(*) FROM tasker.step_attempts WHERE task_id = ANY ($1) AND outcome = 'failed'", [ids]).getvalue(0, 0)
  [("states: #{states}" unless states == ["complete"] * TASKS),
   ("mails: #{mails}" unless mails == Array.new(TASKS) { |number| ["user#{number}@example.org", "#{language}-worker"] }),
   ("#{failed} failed attempts" unless failed == TASKS.to_s)].compact
end

languages = %w[psql ruby python node]
failures = languages.each.with_index(1).count do |language, number|
  Dir.mktmpdir do |directory|
    env, *command = command_of(language, directory)
    next puts("ok #{number} - a worker in #{language} # SKIP no #{language} with its PostgreSQL driver here") unless command.any?

    task_ids = create_tasks
    output, status = Open3.capture2e({ "DATABASE_URL" => URL, **env }, "timeout", LIMIT, *command)
    wrong = complaints(language, task_ids)
    wrong << "ended with #{status.exitstatus}" unless status.success?
    puts "#{"not " if wrong.any?}ok #{number} - a worker in #{language}"
    puts (wrong + output.lines.last(20)).join("\n").gsub(/^/, "# ") if wrong.any?
    wrong.any?
  end
end
puts "1..#{languages.size}"
exit 1 unless failures.zero?
