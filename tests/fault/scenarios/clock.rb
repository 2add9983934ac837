# frozen_string_literal: true

module Fault
  # Leases, retries and schedules are measured by a clock that administrators, time services and
  # failovers move. The extension's own clock moves here, for all sessions at once.
  class ClockSteps < Scenario
    description "the clock steps, by minutes to both sides"
    STEPS = [-600, 0, 90, -3, 300, 0.5, -120].freeze

    def run
      cluster = lab.cluster
      pg = cluster.admin
      under_load(cluster, faults: STEPS.size) do
        sleep(0.25)
        step(pg, STEPS[@steps = (@steps.to_i + 1) % STEPS.size])
      end
    ensure
      pg&.close
    end

    private

    # Leases and retries of a future that has not come yet last until it does, or somebody steps in:
    # so the last step is ahead of them all.
    def wind_up(load, cluster, *counts)
      pg = cluster.admin
      step(pg, STEPS.max)
      pg.close
      super
    end

    def step(pg, seconds)
      pg.exec("LOAD 'tasker_core'")
      pg.exec("ALTER SYSTEM SET tasker_core.clock_offset = #{seconds}")
      pg.exec("SELECT pg_reload_conf()")
      true
    end
  end
end
