# frozen_string_literal: true

# Runs examples/csv_pipeline with worker processes, one of which is killed in the middle of its batches. Prints TAP.
#
#   ruby tests/examples/csv_pipeline.rb     with TASKER_TEST_URL naming a database for it

require "csv"
require "json"
require "pg"
require "rbconfig"
require "tempfile"

ROOT = File.expand_path("../..", __dir__)
EXAMPLE = File.join(ROOT, "examples/csv_pipeline")
URL = ENV.fetch("TASKER_TEST_URL") { abort "TASKER_TEST_URL names no database" }
LIMIT = 180 # seconds, against hanging for ever
PRODUCTS = CSV.read(File.join(EXAMPLE, "products.csv"), headers: true).map(&:to_h)

CONNECTION = PG.connect(URL)
CONNECTION.exec("SET client_min_messages = warning")
CONNECTION.exec("CREATE EXTENSION IF NOT EXISTS tasker_core")
CONNECTION.exec(File.read(File.join(EXAMPLE, "schema.sql")))

def value(sql, *values) = CONNECTION.exec_params(sql, values).getvalue(0, 0)
def create(context) = value("SELECT task_id FROM tasker.create_task('csv_inventory', $1, 'examples')", JSON.generate(context)).to_i
def state(task_id) = value("SELECT state FROM tasker.tasks WHERE task_id = $1", task_id)
def imported(task_id) = value("SELECT count(*) FROM example_products WHERE task_id = $1", task_id).to_i
def result(task_id) = JSON.parse(value("SELECT coalesce((SELECT results FROM tasker.workflow_steps WHERE task_id = $1 AND name = 'summarize'), 'null')", task_id))

def batches(task_id)
  CONNECTION.exec_params("SELECT name, attempts FROM tasker.workflow_steps WHERE task_id = $1 AND name ~ '^import_batch_' ORDER BY step_no", [task_id]).values.to_h
end

# The workers of this test, and what they said.
class Workers
  def initialize
    @pids = []
    @log = Tempfile.new("csv_pipeline")
  end

  def start
    @pids << Process.spawn(RbConfig.ruby, "-I", File.join(ROOT, "ruby/lib"), File.join(ROOT, "ruby/exe/tasker"), "worker", "--url", URL,
                           "-r", File.join(EXAMPLE, "handlers.rb"), "--lease", "5", "-i", "0.2", "-c", "4", %i[out err] => [@log.path, "a"])
    @pids.last
  end

  def kill(pid)
    Process.kill(:KILL, pid)
    Process.wait(pid)
    @pids.delete(pid)
  end

  def stop = @pids.dup.each { |pid| kill(pid) }
  def log = File.readlines(@log.path, chomp: true)
end

WORKERS = Workers.new
at_exit { WORKERS.stop }

def await(what)
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + LIMIT
  until yield
    if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
      puts "Bail out! #{what} takes longer than #{LIMIT} s", WORKERS.log.last(20).map { |line| "# #{line}" }
      exit 1
    end
    sleep(0.05)
  end
end

@count = 0
@failures = 0

def check(description, expected, found)
  @count += 1
  @failures += 1 unless expected == found
  puts "#{"not " unless expected == found}ok #{@count} - #{description}"
  puts "#   expected: #{expected.inspect}", "#   found:    #{found.inspect}" unless expected == found
end

# The first worker registers the template, and is killed when it has begun to import.
doomed = WORKERS.start
await("the template") { value("SELECT count(*) FROM tasker.named_tasks WHERE name = 'csv_inventory'").to_i.positive? }
task_id = create({ "pause" => 0.5 })
await("the first rows") { imported(task_id).positive? }
WORKERS.kill(doomed)
before = imported(task_id)
check("it was killed in the middle", true, before.positive? && before < PRODUCTS.size && state(task_id) == "in_progress")

WORKERS.start
await("the import") { state(task_id) == "complete" }
rows = CONNECTION.exec_params("SELECT sku, price_cents::text, stock::text FROM example_products WHERE task_id = $1 ORDER BY sku", [task_id]).values
check("1,000 products in 5 batches", { "items_processed" => 1000, "worker_count" => 5 }, result(task_id))
check("no product is there twice, and none is missing", PRODUCTS.map(&:values), rows)
check("two workers brought them", 2, value("SELECT count(DISTINCT imported_by) FROM example_products WHERE task_id = $1", task_id).to_i)
check("what the first had committed is the first's", before, value("SELECT count(*) FROM example_products WHERE task_id = $1 AND imported_by = $2", task_id, doomed).to_i)
check("its batches were tried again, by another", true, batches(task_id).size == 5 && batches(task_id).values.any? { |attempts| attempts.to_i > 1 })

# As many batches as the rows need, and no empty one.
[[1000, 1], [1001, 2], [0, 0]].each do |rows_of_file, workers|
  Tempfile.create("products") do |file|
    file.puts "sku,price_cents,stock", Array.new(rows_of_file) { |number| "N-#{number},#{number},1" }
    file.flush
    task_id = create({ "file" => file.path, "batch_size" => 1000 })
    await("#{rows_of_file} rows") { state(task_id) == "complete" }
    check("#{rows_of_file} rows in batches of 1,000: #{workers}", [workers, rows_of_file, { "items_processed" => rows_of_file, "worker_count" => workers }],
          [batches(task_id).size, imported(task_id), result(task_id)])
  end
end
check("no violation", "0", value("SELECT count(*) FROM tasker.verify_all(NULL)"))
puts "1..#{@count}"
exit 1 unless @failures.zero?
