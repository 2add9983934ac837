# frozen_string_literal: true

require_relative "../support/proxy"

module Fault
  class LostAnswer < Scenario
    description "connections die between COMMIT and its answer, or just before it"

    def run
      cluster = lab.cluster
      proxy = Proxy.new(cluster.socket, File.join(lab.directory, "proxy"), random, 0.15).start
      lab.at_end { proxy.stop }
      under_load(cluster, url: -> { cluster.url(host: proxy.directory) }, connections_break: true, faults: 1) do
        sleep(0.05)
        proxy.cuts.values.min >= ENOUGH_FAULTS # of what was done, and of what was not
      end
      puts "# lost_answer: cut #{proxy.cuts}"
    end
  end

  class ChaosPoolExhaustion < Scenario
    description "200 clients of a server that takes 100: those refused come again"
    CLIENTS = 200

    def run
      cluster = lab.cluster(max_connections: 100)
      under_load(cluster, connections_break: true, faults: 1, workers: CLIENTS - 3, producers: 2, operators: 1, pace: 30, leaving: 0.1) do |load|
        sleep(0.2)
        load.ledger.expected.any? { |what, count| what.end_with?(" connection") && count.positive? }
      end
      check("clients were refused", cluster.log.include?("too many clients already") ? [] : ["the server's log tells of none"])
    end
  end
end
