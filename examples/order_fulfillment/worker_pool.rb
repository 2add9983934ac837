# frozen_string_literal: true

require "fileutils"
require "rbconfig"
require "tmpdir"

module OrderFulfillment
  # Worker processes: `tasker worker` as anybody would start it, several times.
  class WorkerPool
    GEM = File.expand_path("../../ruby", __dir__)
    # In a checkout the command beside this example, else the installed one.
    COMMAND = if File.exist?(File.join(GEM, "exe/tasker"))
                [RbConfig.ruby, "-I", File.join(GEM, "lib"), File.join(GEM, "exe/tasker")]
              else
                ["tasker"]
              end.freeze
    # Of schema.sql: what the application may do, and no more.
    ROLE = "order_fulfillment_app"
    # Short, so that what a killed worker held is soon given to another.
    LEASE_SECONDS = 5

    # @return [Array<Integer>]
    attr_reader :pids

    def initialize(url:)
      @url = url
      @pids = []
    end

    def start(count)
      @logs ||= Dir.mktmpdir("order_fulfillment")
      count.times do
        log = File.join(@logs, "worker-#{@pids.size + 1}-#{Time.now.to_f}.log")
        @pids << Process.spawn({ "PGOPTIONS" => "-c role=#{ROLE}" }, *COMMAND, "worker", "--url", @url, "--require", File.join(__dir__, "handlers.rb"),
                               "--lease", LEASE_SECONDS.to_s, "--log-level", "warn", %i[out err] => log)
      end
    end

    # @param pid [Integer] the worker that is to die without a word
    def kill(pid)
      Process.kill(:KILL, pid)
      Process.wait(pid)
      @pids.delete(pid)
    end

    # Somebody else may kill workers too: each gets a successor. One that gave up by itself does not,
    # for the next would do the same.
    # @return [String, nil] last words of those that gave up
    def look_after
      ended = @pids.filter_map { |pid| Process.wait2(pid, Process::WNOHANG) }
      @pids -= ended.map(&:first)
      killed, gave_up = ended.partition { |_, status| status.signaled? }
      start(killed.size)
      last_words unless gave_up.empty?
    end

    # Asks them to finish, and does not ask twice.
    def stop
      signal(:TERM)
      deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 10
      sleep(0.05) until reap.empty? || Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
      signal(:KILL)
      @pids.each { |pid| Process.wait(pid) }
      FileUtils.remove_entry(@logs) if @logs
    end

    private

    def last_words
      Dir[File.join(@logs, "*")].map { |log| File.readlines(log).last(10).join }.reject(&:empty?).join("\n")
    end

    def reap = @pids.reject! { |pid| Process.wait(pid, Process::WNOHANG) } || @pids

    def signal(name)
      @pids.each { |pid| Process.kill(name, pid) }
    end
  end
end
