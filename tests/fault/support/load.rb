# frozen_string_literal: true

require_relative "clients"
require_relative "ledger"

module Fault
  # The clients of a scenario, and what they put up with.
  class Load
    APPLICATION = "fault load"
    DRAIN_LIMIT = 180 # seconds; a lease lasts two

    TEMPLATES = %w[diamond chain fan diamond changed].freeze

    attr_reader :ledger, :random, :templates, :settings, :connections_break, :isolation, :pace, :leaving

    # @param url [#call] where the server is at the moment
    # @param tolerate [Array<String>] SQLSTATEs that the fault brings with it
    # @param connections_break [Boolean] whether connections may break, or be refused
    # @param settings [Array<String>] statements that each new connection begins with
    # @param pace [Numeric] how much slower than usual clients go on
    # @param leaving [Float] share of transactions after which a client leaves its connection
    def initialize(url:, random:, tolerate: [], connections_break: false, settings: [], isolation: "READ COMMITTED",
                   workers: 5, producers: 2, operators: 1, templates: TEMPLATES, pace: 1, leaving: 0)
      @url = url
      @random = random
      @tolerate = tolerate
      @connections_break = connections_break
      @settings = settings
      @isolation = isolation
      @counts = { Producer => producers, StepWorker => workers, Operator => operators, EventReader => 1 }
      @templates = templates
      @pace = pace
      @leaving = leaving
      @ledger = Ledger.new
      @phase = :working
    end

    def url = @url.call
    def tolerates?(sqlstate) = @tolerate.include?(sqlstate)
    def stopped? = @phase != :working
    def draining? = @phase == :draining
    def finished? = @phase == :finished

    def start
      @threads = @counts.flat_map { |client, count| Array.new(count) { |n| thread(client, "#{client.name[/\w+\z/].downcase} #{n}") } }
      self
    end

    # No new tasks, no more faults: what there is is worked off.
    # @param connection [PG::Connection]
    def drain(connection)
      @phase = :draining
      Fault.wait_until("every task ends", seconds: DRAIN_LIMIT) { worked_off?(connection) }
    ensure
      @phase = :finished
      @threads.each(&:join)
    end

    # Without waiting for what is left.
    def stop
      @phase = :finished
      @threads.each(&:join)
    end

    private

    def thread(client, name)
      Thread.new do
        session = client.new(self, name)
        session.run
      rescue StandardError => error
        @ledger.surprise("#{name} broke off: #{error.class}: #{error.message} at #{error.backtrace.first}")
      ensure
        session.close
      end
    end

    OPEN = "SELECT task_id FROM tasker.tasks WHERE state IN ('pending', 'in_progress')"

    def worked_off?(connection)
      sleep(0.1)
      connection.exec("#{OPEN} AND paused_at IS NOT NULL").column_values(0).each { |task| resume(connection, task) }
      connection.exec("#{OPEN} LIMIT 1").ntuples.zero?
    end

    # What was claimed before the pause may end meanwhile, and the task with it.
    def resume(connection, task)
      connection.exec_params("SELECT tasker.resume_task($1)", [task])
    rescue PG::Error => error
      raise unless error.result&.error_field(PG::Result::PG_DIAG_SQLSTATE) == "TC012"
    end
  end
end
