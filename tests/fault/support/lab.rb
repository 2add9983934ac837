# frozen_string_literal: true

require "etc"
require "fileutils"
require "open3"
require "tmpdir"
require_relative "cluster"

module Fault
  def self.now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

  # Waits until the block is true.
  # @raise [RuntimeError] after so many seconds; far more than it ever takes on a busy machine
  def self.wait_until(what, seconds: 120)
    deadline = now + seconds
    until (answer = yield)
      raise "waited #{seconds} s in vain: #{what}" if now > deadline

      sleep(0.02)
    end
    answer
  end

  # The place of all clusters: a temporary directory of the user that PostgreSQL runs as, and a
  # data directory with the extension and the templates that new clusters are copied from.
  class Lab
    DATABASE = "fault"
    SCHEMA = File.join(__dir__, "schema.sql")

    def self.open
      lab = new(ENV.fetch("SERVER_BIN") { abort "SERVER_BIN names no directory of a PostgreSQL with the extension" })
      %w[TERM INT HUP].each { |signal| trap(signal) { exit(1) } }
      yield lab
    ensure
      lab&.close
    end

    attr_reader :directory, :server_bin

    def initialize(server_bin)
      @server_bin = server_bin
      ENV.delete_if { |name, _| name.start_with?("PG") && name != "PG_CONFIG" } # meant for another server
      # The path of a unix socket ends at 107 bytes.
      @directory = Dir.mktmpdir("fault", Dir.tmpdir.size <= 45 ? Dir.tmpdir : "/tmp")
      FileUtils.chown(user, nil, @directory) if root?
      @made = 0
      @clusters = []
      @teardown = []
    end

    # A new cluster that listens on a socket in its directory, started.
    # @param settings [Hash] of postgresql.conf
    def cluster(directory: File.join(@directory, "cluster#{@made += 1}"), **settings)
      cluster = Cluster.new(self, directory, settings)
      @clusters << cluster
      run("cp", "-r", template, cluster.data)
      cluster.configure
      cluster.start
    end

    # A data directory filled otherwise, by pg_basebackup for one.
    def adopt(**settings)
      Cluster.new(self, File.join(@directory, "cluster#{@made += 1}"), settings).tap { |cluster| @clusters << cluster }
    end

    # Runs a program as the user of the server, since PostgreSQL refuses to run as root.
    # @return [String] what it printed
    # @raise [RuntimeError] when it fails
    def run(*command, allow_failure: false)
      said, status = Open3.capture2e(*as_server(command), chdir: @directory)
      raise "#{command.join(" ")} failed: #{said}" unless status.success? || allow_failure

      said
    end

    def as_server(command) = root? ? ["runuser", "-u", user, "--", *command] : command
    def program(name) = File.exist?(File.join(server_bin, name)) ? File.join(server_bin, name) : name
    def root? = Process.uid.zero?
    def user = root? ? ENV.fetch("SERVER_USER", "postgres") : Etc.getpwuid.name

    # To be done before the directory goes away.
    def at_end(&block) = @teardown.unshift(block)

    # Stops what a scenario has started.
    def clear
      @clusters.reverse_each(&:destroy)
      @clusters.clear
      @teardown.each(&:call)
      @teardown.clear
    end

    def close
      clear
      FileUtils.rm_rf(@directory)
    end

    private

    def template
      @template ||= File.join(@directory, "template", "data").tap { make_template }
    end

    def make_template
      cluster = Cluster.new(self, File.join(@directory, "template"), "fsync" => "off")
      run(program("initdb"), "-D", cluster.data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
          "--locale=C.UTF-8", "--no-sync")
      cluster.configure
      cluster.start
      PG.connect(cluster.url("postgres")).then { |pg| pg.exec("CREATE DATABASE #{DATABASE}"); pg.close }
      PG.connect(cluster.url).then { |pg| pg.exec(File.read(SCHEMA)); pg.close }
      cluster.stop("fast")
    end
  end
end
