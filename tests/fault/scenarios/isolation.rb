# frozen_string_literal: true

module Fault
  class SerializableCallers < Scenario
    description "all callers are SERIALIZABLE: 40001 and nothing worse"
    LEVEL = "SERIALIZABLE"

    def run
      cluster = lab.cluster
      under_load(cluster, faults: 1, isolation: self.class::LEVEL, tolerate: %w[40001]) do |load|
        sleep(0.1)
        load.ledger.expected.any? { |what, _| what.end_with?("40001") }
      end
    end
  end

  class RepeatableReadCallers < SerializableCallers
    description "all callers are REPEATABLE READ: 40001 and nothing worse"
    LEVEL = "REPEATABLE READ"
  end
end
