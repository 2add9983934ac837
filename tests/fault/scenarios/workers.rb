# frozen_string_literal: true

require "rbconfig"

module Fault
  class CrashRecoveryUnderLoad < Scenario
    description "SIGKILL of Ruby worker processes in the middle of their steps"
    GEM = File.expand_path("../../../ruby/lib", __dir__)
    WORKER = File.expand_path("../support/gem_worker.rb", __dir__)
    WORKERS = 2

    def run
      @cluster = lab.cluster
      @pids = Array.new(WORKERS) { start_worker }
      lab.at_end { @pids.each { |pid| kill(pid) } }
      Fault.wait_until("a worker registers its template") { registered? }
      under_load(@cluster, workers: 0, operators: 0, producers: 2, templates: %w[killed]) { |load| kill_one(load) }
    end

    private

    def notes = File.join(lab.directory, "notes")

    def start_worker
      Process.spawn(RbConfig.ruby, "-I", GEM, WORKER, @cluster.url, notes, %i[out err] => [File.join(lab.directory, "workers.log"), "a"])
    end

    def kill(pid)
      Process.kill(:KILL, pid)
      Process.wait(pid)
    rescue Errno::ESRCH, Errno::ECHILD
      nil
    end

    def registered?
      pg = @cluster.admin
      pg.exec("SELECT FROM tasker.named_tasks WHERE name = 'killed'").ntuples.positive?
    ensure
      pg&.close
    end

    # The one that has worked longest, once something more has been done since the last time.
    def kill_one(load)
      sleep(random.rand * 0.1)
      kill(@pids.shift)
      @pids << start_worker
      true
    end

    # The workers' notes are what is acknowledged.
    def results(load)
      load.ledger.completed(noted.drop(load.ledger.results.size))
      super
    end

    def noted = File.exist?(notes) ? File.readlines(notes).map { |line| line.split.map(&:to_i).then { |step, value| [step, nil, value] } } : []

    def wind_up(load, cluster, *counts)
      pg = cluster.admin
      load.drain(pg)
      results(load)
      super
    ensure
      pg&.close
    end
  end
end
