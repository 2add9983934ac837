# frozen_string_literal: true

require "fileutils"

module Fault
  class DiskFull < Scenario
    description "the data directory's file system is full, again and again"
    SIZE = "224m"
    GROW = "INSERT INTO waste SELECT repeat(md5(n::text), 20) FROM generate_series(1, 5000) n"
    WRITE_WAL = "SELECT pg_logical_emit_message(false, '', repeat('x', 1000)), pg_switch_wal()"
    # disk_full; io_error and what an unusable file may bring; the WAL does not fit: the server crashes
    BROUGHT = %w[53100 58030 57P01 57P02 57P03 XX000].freeze

    def run
      directory = mount
      cluster = lab.cluster(directory: directory, max_wal_size: "64MB", min_wal_size: "32MB", shared_buffers: "16MB")
      cluster.admin.then { |pg| pg.exec("CREATE TABLE waste (filler text)"); pg.close }
      @rounds = 0
      @ballast = File.join(directory, "ballast")
      under_load(cluster, connections_break: true, tolerate: BROUGHT, faults: 2) { fill_and_free(cluster) }
      check("the server crashed for want of WAL", cluster.log.include?("PANIC") ? [] : ["its log tells of none"])
    end

    private

    def mount
      raise Unavailable, "mounting a file system needs root" unless lab.root?

      directory = File.join(lab.directory, "full")
      FileUtils.mkdir_p(directory)
      system("mount", "-t", "tmpfs", "-o", "size=#{SIZE}", "tasker_fault", directory, err: File::NULL) or
        raise Unavailable, "this place does not allow to mount a file system"
      lab.at_end { system("umount", directory) || system("umount", "-l", directory) }
      FileUtils.chown(lab.user, nil, directory)
      FileUtils.chmod(0o700, directory)
      directory
    end

    # Nothing is left; then the server writes, until a table cannot grow, or until there is no room for
    # WAL and it crashes.
    def fill_and_free(cluster)
      crashes = cluster.log.scan("PANIC").size
      fill # the load may be what crashes it
      if @rounds.odd? then Fault.wait_until("a table cannot grow") { refused?(cluster, GROW) }
      else Fault.wait_until("the server crashes") { refused?(cluster, WRITE_WAL) && cluster.log.scan("PANIC").size > crashes }
      end
      sleep(0.3)
      @rounds += 1
    ensure
      FileUtils.rm_f(@ballast)
      revive(cluster)
    end

    # It may restart by itself, or be about to find that it cannot.
    def revive(cluster)
      Fault.wait_until("the server is back") do
        cluster.start(fail_quietly: true) unless alive?(cluster)
        PG.connect(cluster.url).close || true
      rescue PG::ConnectionBad
        nil
      end
    end

    def fill
      File.open(@ballast, "ab") { |file| loop { file.write("x" * 65_536); file.flush } }
    rescue Errno::ENOSPC
      nil
    end

    def refused?(cluster, statement)
      pg = PG.connect(cluster.url)
      pg.exec(statement)
      false
    rescue PG::Error
      true
    ensure
      pg&.close
    end

    # A postmaster that could not write its WAL is gone.
    def alive?(cluster)
      pid = File.read(File.join(cluster.data, "postmaster.pid")).lines.first.to_i
      Process.kill(0, pid) && true
    rescue Errno::ENOENT, Errno::ESRCH
      false
    end
  end
end
