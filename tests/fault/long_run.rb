#!/usr/bin/env ruby
# frozen_string_literal: true

# A long run: does memory stay flat, in a backend and in the Ruby worker?
#
#   SERVER_BIN=... ruby tests/fault/long_run.rb --tasks 100000
#
# One worker process runs that many tasks of four steps each; its memory and that of the backends
# it works by are looked at twenty times. What is there after a quarter of the tasks, when all caches
# are warm, may hardly grow until the end. Prints TAP.

require "optparse"
require "rbconfig"
require_relative "support/lab"

module Fault
  class LongRun
    GEM = File.expand_path("../../ruby/lib", __dir__)
    WORKER = File.expand_path("support/gem_worker.rb", __dir__)
    BATCH = 200
    AHEAD = 500      # tasks that wait for the worker
    SAMPLES = 20
    GROWTH = 1.1     # and a little: a heap does not grow byte by byte
    LITTLE_KB = 1024

    def initialize(lab, tasks)
      @lab = lab
      @tasks = tasks
      @samples = []
    end

    # @return [Boolean] whether it stayed flat
    def run
      @cluster = @lab.cluster(fsync: "off", autovacuum_naptime: "10s")
      start_worker
      @pg = @cluster.admin
      Fault.wait_until("the worker registers its template") { value("SELECT count(*) FROM tasker.named_tasks WHERE name = 'killed'") == 1 }
      began = Fault.now
      feed
      puts "# #{@tasks} tasks in #{(Fault.now - began).round} s"
      report
    end

    private

    def start_worker
      @pid = Process.spawn(RbConfig.ruby, "-I", GEM, WORKER, @cluster.url, File.join(@lab.directory, "notes"), %i[out err] => File.join(@lab.directory, "worker.log"))
      @lab.at_end { Process.kill(:KILL, @pid); Process.wait(@pid) }
    end

    def value(sql) = @pg.exec(sql).getvalue(0, 0).to_i

    def feed
      made = done = 0
      while done < @tasks
        made += create([BATCH, @tasks - made].min) while made - done < AHEAD && made < @tasks
        sleep(0.2)
        done = value("SELECT count(*) FROM tasker.tasks WHERE state = 'complete'")
        sample(done) if done >= @tasks * (@samples.size + 1) / SAMPLES
      end
    end

    def create(count)
      value("SELECT count(*) FROM tasker.create_tasks((SELECT jsonb_agg(jsonb_build_object('name', 'killed', 'namespace', 'fault')) FROM generate_series(1, #{count})))")
    end

    def sample(done)
      backends = @pg.exec("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()").column_values(0)
      @samples << [done, own_memory(@pid), backends.map { |pid| own_memory(pid) }.max]
    end

    # Kilobytes of its own, without what it shares.
    def own_memory(pid)
      File.read("/proc/#{pid}/status")[/^RssAnon:\s+(\d+)/, 1].to_i
    rescue Errno::ENOENT
      0 # it has just ended
    end

    def report
      @samples.each { |done, worker, backend| puts format("# %7d tasks: worker %6d kB, largest backend %6d kB", done, worker, backend) }
      warm = @samples[@samples.size / 4]
      results = { "worker" => 1, "backends" => 2 }.map.with_index(1) do |(name, column), number|
        limit = (warm[column] * GROWTH) + LITTLE_KB
        flat = @samples.last[column] <= limit
        puts "#{"not " unless flat}ok #{number} - #{name}: #{@samples.last[column]} kB after #{warm[column]} kB"
        flat
      end
      puts "1..2"
      results.all?
    end
  end
end

options = { tasks: 100_000 }
OptionParser.new { |parser| parser.on("--tasks N", Integer, "how many (#{options[:tasks]})") }.parse!(into: options)
$stdout.sync = true
Fault::Lab.open { |lab| exit Fault::LongRun.new(lab, options[:tasks]).run }
