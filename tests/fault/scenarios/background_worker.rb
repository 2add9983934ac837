# frozen_string_literal: true

module Fault
  # A process that is attached to shared memory and dies takes the server with it: all is restarted.
  class BackgroundWorkerKill < Scenario
    description "SIGKILL of the background worker and of its launcher: the server restarts itself, and they come back"
    PROCESSES = ["tasker_core launcher", "tasker_core worker"].freeze

    def run
      cluster = lab.cluster(shared_preload_libraries: "tasker_core", "tasker_core.databases": Lab::DATABASE,
                            "tasker_core.maintenance_interval": "1s")
      under_load(cluster, connections_break: true, faults: PROCESSES.size) { kill(cluster, PROCESSES[kills.size % PROCESSES.size]) }
      check("both were killed, and the server restarted each time", not_killed(cluster))
      check("both are back, and the worker works", idle_worker(cluster))
    end

    private

    def kills = @kills ||= []

    def kill(cluster, process)
      pid = running(cluster)[process]
      Process.kill(:KILL, pid)
      Fault.wait_until("the server notices") { cluster.log.match?(/\(PID #{pid}\) was terminated by signal 9/) }
      kills << pid
    rescue Errno::ESRCH
      false
    end

    # Waits until both run.
    # @return [Hash{String => Integer}] what it is => process id
    def running(cluster)
      Fault.wait_until("worker and launcher run") { processes(cluster).then { |found| found if found.size == PROCESSES.size } }
    end

    def processes(cluster)
      pg = cluster.admin
      pg.exec("SELECT backend_type, pid FROM pg_stat_activity WHERE backend_type LIKE 'tasker_core %'").values.to_h.transform_values(&:to_i)
    rescue PG::Error
      {} # the server is about to restart
    ensure
      pg&.close
    end

    def not_killed(cluster)
      restarts = cluster.log.scan("all server processes terminated; reinitializing").size
      restarts >= kills.size && kills.size >= PROCESSES.size ? [] : ["#{kills.size} were killed, and the server restarted #{restarts} times"]
    end

    # Sessions leave it to the worker to tell of new work, so it is the worker that does.
    def idle_worker(cluster)
      pg = cluster.admin
      pg.exec("LISTEN tasker_ready")
      Fault.wait_until("the worker notifies") do
        pg.exec("SELECT FROM tasker.create_task('chain', namespace => 'fault')")
        pg.wait_for_notify(1) { |_channel, sender, _namespace| break sender == running(cluster)["tasker_core worker"] }
      end
      PROCESSES.select { |process| kills.include?(running(cluster)[process]) }.map { |process| "#{process} is one that was killed" }
    ensure
      pg&.close
    end
  end
end
