# frozen_string_literal: true

# Four sessions write events in transactions that overlap, commit in any order, roll back,
# or undo a part; a reader goes on from its cursor all the while. It gets what was committed,
# each event once, those of a transaction together and in order. Prints TAP.
#
#   TASKER_TEST_URL=postgresql:///database ruby tests/race/events.rb     (SEED=n repeats a run's choices)

require "pg"

URL = ENV.fetch("TASKER_TEST_URL") { abort "TASKER_TEST_URL names no database" }
SEED = (ENV["SEED"] || Random.new_seed % 1_000_000).to_i
SECONDS = 3
WRITERS = 4

# One writer; remembers what it committed: [[name of the first, second, ...] of each transaction].
class Writer
  attr_reader :committed

  def initialize(number)
    @number = number
    @random = Random.new(SEED + number)
    @connection = PG.connect(URL)
    @committed = []
    @count = 0
  end

  def run(deadline)
    transact until Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
  ensure
    @connection.close
  end

  private

  def transact
    names = []
    @connection.exec("BEGIN")
    @random.rand(1..4).times { write(names) }
    sleep(@random.rand * 0.02)
    if @random.rand < 0.2
      @connection.exec("ROLLBACK")
    else
      @connection.exec("COMMIT")
      @committed << names unless names.empty?
    end
  end

  def write(names)
    name = "race.#{@number}.#{@count += 1}"
    undo = @random.rand < 0.2
    @connection.exec("SAVEPOINT s") if undo || @random.rand < 0.3
    @connection.exec_params("SELECT tasker.publish_event($1)", [name])
    sleep(@random.rand * 0.005)
    undo ? @connection.exec("ROLLBACK TO s") : names << name
  end
end

# Reads on from its cursor, a few at a time.
class Reader
  attr_reader :names, :times_empty_handed

  def initialize
    @connection = PG.connect(URL)
    @random = Random.new(SEED)
    @cursor = @connection.exec("SELECT head FROM tasker.events_lag()").getvalue(0, 0)
    @names = []
    @times_empty_handed = 0
  end

  def read
    rows = @connection.exec_params("SELECT cursor, name FROM tasker.read_events($1, $2, 'race.*')", [@cursor, @random.rand(1..7)]).values
    @cursor = rows.last[0] unless rows.empty?
    @names.concat(rows.map(&:last))
    @times_empty_handed += 1 if rows.empty?
    rows.size
  end

  # Everything that is committed now can be read once older transactions, whosever, are over.
  def read_to_the_end
    target = @connection.exec("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint").getvalue(0, 0).to_i
    sleep(0.01) until @connection.exec("SELECT xmin::text::bigint FROM tasker.events_lag()").getvalue(0, 0).to_i >= target
    nil while read.positive?
  end
end

reader = Reader.new
deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + SECONDS
writers = Array.new(WRITERS) { |number| Writer.new(number) }
threads = writers.map { |writer| Thread.new { writer.run(deadline) } }
while threads.any?(&:alive?)
  reader.read
  sleep(0.001)
end
threads.each(&:join)
read_on_the_way = reader.names.size
reader.read_to_the_end

transactions = writers.flat_map(&:committed)
written = transactions.flatten
place = reader.names.each_with_index.to_h
tests = {
  "#{written.size} events were committed, #{read_on_the_way} read on the way" => written.size > 50 && read_on_the_way > 20,
  "nothing is missing" => (written - reader.names).empty?,
  "nothing came twice" => reader.names.uniq.size == reader.names.size,
  "nothing came that was rolled back" => (reader.names - written).empty?,
  "the events of a transaction came together and in order" =>
    transactions.all? { |names| (from = place[names.first]) && reader.names[from, names.size] == names },
}
puts "# SEED=#{SEED}"
tests.each.with_index(1) { |(name, good), number| puts "#{"not " unless good}ok #{number} - read_events: #{name}" }
puts "1..#{tests.size}"
exit 1 unless tests.values.all?
