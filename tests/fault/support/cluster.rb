# frozen_string_literal: true

require "pg"

module Fault
  # One PostgreSQL: its data directory, its socket and its log.
  class Cluster
    SETTINGS = {
      "listen_addresses" => "''", "fsync" => "on", "shared_buffers" => "32MB", "wal_level" => "logical",
      "max_wal_size" => "128MB", "min_wal_size" => "32MB", "deadlock_timeout" => "200ms"
    }.freeze

    attr_reader :data

    def initialize(lab, directory, settings)
      @lab = lab
      @directory = directory
      @data = File.join(directory, "data")
      @settings = settings
      @lab.run("mkdir", "-p", "-m", "700", @directory)
    end

    # Later lines win over those of the directory it was copied from.
    def configure
      lines = SETTINGS.merge("unix_socket_directories" => "'#{@directory}'", **@settings.transform_keys(&:to_s))
      File.open(File.join(@data, "postgresql.conf"), "a") do |file|
        lines.each { |name, value| file.puts("#{name} = #{value}") }
      end
    end

    def start(fail_quietly: false)
      @lab.run(@lab.program("pg_ctl"), "-D", @data, "-l", log_file, "-w", "-t", "180", "start")
      self
    rescue RuntimeError
      raise unless fail_quietly
    end

    def stop(mode)
      @lab.run(@lab.program("pg_ctl"), "-D", @data, "-m", mode, "-w", "-t", "180", "stop")
      self
    end

    def restart_after(mode) = stop(mode) && start

    def promote = @lab.run(@lab.program("pg_ctl"), "-D", @data, "-w", "-t", "180", "promote")

    def destroy
      @lab.run(@lab.program("pg_ctl"), "-D", @data, "-m", "immediate", "-w", "stop", allow_failure: true) if running?
      FileUtils.rm_rf(@data)
    end

    def running? = File.exist?(File.join(@data, "postmaster.pid"))

    def socket = @directory
    def url(database = Lab::DATABASE, host: socket) = "postgresql:///#{database}?host=#{host}&port=5432&user=postgres&connect_timeout=30"

    # A connection of the test itself; waits while the server cannot be reached.
    def admin(database = Lab::DATABASE)
      Fault.wait_until("#{@directory} accepts connections") do
        PG.connect(url(database)).tap { |pg| pg.set_notice_receiver { nil } }
      rescue PG::ConnectionBad
        nil
      end
    end

    # The processes that serve clients, as the operating system knows them.
    # @return [Array<Integer>]
    def backends(application)
      pg = admin("postgres")
      pg.exec_params("SELECT pid FROM pg_stat_activity WHERE application_name = $1", [application]).column_values(0).map(&:to_i)
    ensure
      pg&.close
    end

    def log = File.exist?(log_file) ? File.read(log_file) : ""

    private

    # Beside the directory, whose file system may be full.
    def log_file = "#{@directory}.log"
  end
end
