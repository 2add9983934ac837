# frozen_string_literal: true

require_relative "checks"
require_relative "load"

module Fault
  # One fault: what it does to a database at work, and what is checked afterwards.
  class Scenario
    LIMIT = 120 # seconds that a fault may need to have happened often enough
    WORK_BETWEEN_FAULTS = 4
    ENOUGH_RESULTS = 20
    ENOUGH_FAULTS = 3

    # Shown as skipped, with the reason.
    class Unavailable < StandardError; end

    class << self
      def all = @all ||= []

      def inherited(scenario)
        super
        Scenario.all << scenario
      end

      def label = name[/\w+\z/].gsub(/(?<=[a-z])(?=[A-Z])/, "_").downcase

      # @param text [String] what happens, for --list; without it, what is described
      def description(text = nil) = text ? @description = text : @description
    end

    attr_reader :lab, :random

    def initialize(lab:, report:, seconds:, random:)
      @lab = lab
      @report = report
      @seconds = seconds
      @random = random
    end

    def perform
      began = Fault.now
      run
    rescue Unavailable => error
      @report.skip(label, error.message)
    rescue StandardError => error
      check("runs to its end", ["#{error.class}: #{error.message}", *error.backtrace.first(5)])
    ensure
      lab.clear
      puts "# #{label}: #{(Fault.now - began).round(1)} s"
    end

    private

    def label = self.class.label
    def check(name, findings) = @report.check("#{label}: #{name}", findings)

    # A load runs and the block makes the fault, again and again; then the load is worked off and
    # everything is checked.
    # @param cluster [Cluster] where the load ends up; given to the block
    # @yieldreturn whether a fault was made
    def under_load(cluster, faults: ENOUGH_FAULTS, url: -> { cluster.url }, survivor: -> { cluster }, **options)
      load = Load.new(url: url, random: random, **options).start
      made = repeat(load, faults) { yield load }
      wind_up(load, survivor.call, made, faults)
    ensure
      load&.stop
    end

    def repeat(load, faults)
      made = 0
      began = Fault.now
      until Fault.now - began > @seconds && made >= faults
        return made if Fault.now - began > @seconds + LIMIT

        made += 1 if yield
        await_results(load, results(load) + WORK_BETWEEN_FAULTS)
      end
      await_results(load, ENOUGH_RESULTS)
      made
    end

    # Between two faults something gets done, however slow this machine is.
    def await_results(load, count)
      Fault.wait_until("work goes on after the fault") { results(load) >= count }
    end

    # @return [Integer] how many are acknowledged
    def results(load) = load.ledger.results.size

    def wind_up(load, cluster, made, faults)
      pg = cluster.admin
      load.drain(pg)
      describe(load.ledger, made)
      load.stop
      check("the fault happened, and work went on", idle(load.ledger, made, faults))
      Checks.new(pg, load.ledger).all.each { |name, findings| check(name, findings) }
    ensure
      pg&.close
    end

    # A test in which nothing happened proves nothing.
    def idle(ledger, made, faults)
      [("#{made} faults, not #{faults}" if made < faults),
       ("#{ledger.results.size} results, not #{ENOUGH_RESULTS}" if ledger.results.size < ENOUGH_RESULTS)].compact
    end

    def describe(ledger, made)
      puts "# #{label}: #{made} faults, #{ledger.results.size} results and #{ledger.tasks.size} tasks acknowledged, " \
           "#{ledger.unknown_commits} answers lost"
      puts "#   #{ledger.expected.sort.map { |what, count| "#{what} #{count}" }.join(", ")}" if ENV["FAULT_VERBOSE"]
    end
  end
end
