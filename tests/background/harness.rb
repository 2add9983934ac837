# frozen_string_literal: true

# What the tests of the background worker share: connections, waiting, TAP.

require "pg"
require "json"
require "shellwords"

SOCKET = ENV.fetch("TASKER_TEST_SOCKET") { abort "TASKER_TEST_SOCKET names no server" }
PATIENCE = 120 # seconds; nothing here takes long, but the machine may be busy

def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

# Polls until the block says something; nil when it never does.
def eventually(seconds = PATIENCE)
  deadline = now + seconds
  loop do
    answer = begin
      yield
    rescue PG::Error
      nil
    end
    return answer if answer || now > deadline

    sleep(0.02)
  end
end

def connect(database, user: "postgres", socket: SOCKET)
  eventually { Database.new(PG.connect(host: socket, port: 5432, user:, dbname: database)) } ||
    raise("no connection to #{database}")
end

# A connection each time: the server is restarted on the way.
def admin
  connection = connect("postgres")
  yield connection
ensure
  connection&.close
end

def configure(**settings)
  admin do |connection|
    settings.each { |name, value| connection.exec("ALTER SYSTEM SET tasker_core.#{name} = '#{value}'") }
    connection.exec("SELECT pg_reload_conf()")
  end
end

# One connection, in a few words.
class Database
  def initialize(connection)
    @connection = connection
    @connection.exec("SET client_min_messages = warning")
  end

  def exec(sql, *values) = @connection.exec_params(sql, values)
  def value(sql, *values) = exec(sql, *values).getvalue(0, 0)
  def column(sql, *values) = exec(sql, *values).column_values(0)
  def pid = @connection.backend_pid
  def close = @connection.close

  def transaction
    exec("BEGIN")
    yield
    exec("COMMIT")
  end

  def sqlstate
    yield
    nil
  rescue PG::Error => e
    e.result&.error_field(PG::Result::PG_DIAG_SQLSTATE) || "closed"
  end

  def listen = %w[tasker_ready tasker_events].each { |channel| exec("LISTEN #{channel}") }

  # The notifications up to the first that the block accepts: [[channel, payload, pid], ...]; nil when there is none.
  def heard(seconds = PATIENCE)
    deadline = now + seconds
    all = []
    loop do
      notice = nil
      @connection.wait_for_notify([deadline - now, 0.001].max) { |*args| notice = args }
      return nil unless notice

      channel, pid, payload = notice
      all << [channel, payload, pid]
      return all if yield(channel, payload)
    end
  end

  def create(template, **arguments)
    list = ["'#{template}'", *arguments.map { |name, sql| "#{name} => #{sql}" }].join(", ")
    value("SELECT task_id FROM tasker.create_task(#{list})").to_i
  end

  def claim(task, lease = 3600)
    exec("SELECT workflow_step_id, claim_token FROM tasker.claim_steps('w', 1, lease_seconds => $2, task_id => $1)", task, lease).first&.values
  end

  def state(task) = value("SELECT state FROM tasker.tasks WHERE task_id = $1", task)

  def worker = exec(<<~SQL).first
    SELECT pid, usename FROM pg_stat_activity WHERE backend_type = 'tasker_core worker' AND datname = current_database() AND state = 'idle'
  SQL
end

# TAP
class Tests
  def initialize
    @count = @failed = 0
  end

  def ok(name, good, detail = nil)
    @count += 1
    @failed += 1 unless good
    puts "#{"not " unless good}ok #{@count} - #{name}"
    puts "# #{detail}" if detail && !good
    $stdout.flush
    good
  end

  def is(name, value, expected) = ok(name, value == expected, "it is #{value.inspect}, not #{expected.inspect}")

  def skip(name, reason)
    @count += 1
    puts "ok #{@count} - #{name} # SKIP #{reason}"
  end

  # A part by itself: what it raises is its failure, and the others go on.
  def part(name)
    yield
  rescue StandardError => e
    ok("#{name} ends without an error", false, "#{e.class}: #{e.message.lines.first&.chomp} at #{e.backtrace.first}")
  end

  def finish
    puts "1..#{@count}"
    exit(@failed.zero?)
  end
end
