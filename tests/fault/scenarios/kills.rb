# frozen_string_literal: true

module Fault
  # The operating system ends processes of the server.
  class ChaosPgBackendKill < Scenario
    description "SIGKILL of backends in the middle of their work: the server crashes and restarts itself"

    def run
      cluster = lab.cluster
      under_load(cluster, connections_break: true) do
        sleep(0.05 + (random.rand * 0.3))
        victim = cluster.backends(Load::APPLICATION).sample(random: random)
        victim && kill(victim)
      end
      check("the server restarted itself", cluster.log.include?("terminated by signal 9") ? [] : ["its log tells of no crash"])
    end

    private

    def kill(pid)
      Process.kill(:KILL, pid)
    rescue Errno::ESRCH
      false
    end
  end

  # An administrator, or a failing pooler, ends sessions.
  class ChaosBackendTerminate < Scenario
    description "pg_terminate_backend of backends in the middle of their work"

    def run
      cluster = lab.cluster
      pg = cluster.admin
      under_load(cluster, connections_break: true, faults: 20) do
        sleep(random.rand * 0.05)
        pg.exec_params("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 ORDER BY random() LIMIT 1", [Load::APPLICATION]).ntuples.positive?
      end
    end
  end

  class ChaosPostgresRestart < Scenario
    description "pg_ctl stop -m immediate in the middle of load, and start; now and then a fast restart"

    def run
      cluster = lab.cluster
      under_load(cluster, connections_break: true) do
        sleep(0.3 + (random.rand * 0.5))
        cluster.restart_after(random.rand < 0.8 ? "immediate" : "fast")
      end
    end
  end
end
