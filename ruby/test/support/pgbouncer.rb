# frozen_string_literal: true

require "etc"
require "fileutils"
require "tmpdir"

# A PgBouncer of our own in transaction mode in front of the test's server.
class PgBouncer
  PATH = ["/usr/sbin/pgbouncer", *ENV.fetch("PATH", "").split(":").map { |directory| "#{directory}/pgbouncer" }]
         .find { |path| File.executable?(path) }
  PORT = 6432

  # @param url [String] of the server
  # @param pool_size [Integer] sessions with the server
  def initialize(url, pool_size:)
    @target = PG::Connection.conninfo_parse(url).to_h { |option| [option[:keyword], option[:val]] }.compact
    @directory = Dir.mktmpdir("pgbouncer", "/tmp") # a short path, because sockets need one
    write_configuration(pool_size)
    @pid = Process.spawn(PATH, *as_user, "#{@directory}/pgbouncer.ini", %i[out err] => "#{@directory}/output")
  end

  # @return [String]
  def url = "host=#{@directory} port=#{PORT} dbname=pooled user=anybody"

  # @return [String] what it has said
  def log = File.read("#{@directory}/output")

  def running? = Process.wait(@pid, Process::WNOHANG).nil?

  def close
    Process.kill(:KILL, @pid)
    Process.wait(@pid)
  rescue Errno::ESRCH, Errno::ECHILD
    nil
  ensure
    FileUtils.remove_entry(@directory)
  end

  private

  def write_configuration(pool_size)
    server = { "host" => "localhost", "port" => "5432", "user" => Etc.getlogin, **@target }
    path = "#{@directory}/pgbouncer.ini"
    File.write(path, <<~INI)
      [databases]
      pooled = #{server.slice("host", "port", "dbname", "user", "password").map { |name, value| "#{name}=#{value}" }.join(" ")}

      [pgbouncer]
      listen_port = #{PORT}
      unix_socket_dir = #{@directory}
      auth_type = any
      pool_mode = transaction
      default_pool_size = #{pool_size}
    INI
    FileUtils.chown(user, nil, @directory) if user
  end

  # It refuses to run as root; who owns the server's socket may use it.
  def user
    return unless Process.uid.zero?

    host = @target.fetch("host", "")
    owner = host.start_with?("/") ? Etc.getpwuid(File.stat(host).uid).name : "nobody"
    owner == "root" ? "nobody" : owner
  end

  def as_user = user ? ["-u", user] : []
end
