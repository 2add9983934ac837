# frozen_string_literal: true

require "socket"

# A way to the server that can be broken: all at once, for a while, or exactly
# between a statement and its answer.
class Proxy
  COMMIT = "Q\x00\x00\x00\x0BCOMMIT\x00".b.freeze
  Pair = Struct.new(:client, :server, :cutting)

  # @param url [String] of the server, on a unix socket or TCP
  def initialize(url)
    @url = url
    @target = PG::Connection.conninfo_parse(url).to_h { |option| [option[:keyword], option[:val]] }.compact
    @listener = TCPServer.new("127.0.0.1", 0)
    @mutex = Mutex.new
    @pairs = []
    @refusing = false
    @cut = nil
    @thread = Thread.new { accept_all }
  end

  # @return [String] how to connect through it
  def url
    parameters = @target.slice("user", "dbname", "password")
    "host=127.0.0.1 port=#{@listener.local_address.ip_port} sslmode=disable gssencmode=disable " +
      parameters.map { |name, value| "#{name}='#{value}'" }.join(" ")
  end

  # Breaks all connections, and every new one until {#allow}.
  def refuse
    @refusing = true
    @mutex.synchronize { @pairs.dup }.each { |pair| break_pair(pair) }
  end

  def allow = @refusing = false

  # Breaks the connection of the next COMMIT.
  # @param committed [Boolean] after the server has answered, or before it hears of it
  def cut_next_commit(committed:) = @cut = committed ? :after : :before

  # @return [Boolean] whether the cut has happened
  def cut? = @cut.nil?

  def close
    @thread.kill
    @listener.close
    refuse
  end

  private

  def accept_all
    loop do
      client = @listener.accept
      next client.close if @refusing

      pair = Pair.new(client, connect)
      @mutex.synchronize { @pairs << pair }
      Thread.new { to_server(pair) }
      Thread.new { to_client(pair) }
    end
  end

  def connect
    host = @target.fetch("host", "localhost")
    port = @target.fetch("port", "5432")
    host.start_with?("/") ? UNIXSocket.new("#{host}/.s.PGSQL.#{port}") : TCPSocket.new(host, port)
  end

  def to_server(pair)
    loop do
      bytes = pair.client.readpartial(65_536)
      cut = take_cut if bytes.include?(COMMIT)
      break if cut == :before

      pair.cutting = true if cut
      pair.server.write(bytes)
    end
  rescue IOError, SystemCallError
    nil
  ensure
    break_pair(pair)
  end

  def to_client(pair)
    loop do
      bytes = pair.server.readpartial(65_536)
      break if pair.cutting

      pair.client.write(bytes)
    end
  rescue IOError, SystemCallError
    nil
  ensure
    break_pair(pair)
  end

  def take_cut
    @mutex.synchronize do
      cut = @cut
      @cut = nil
      cut
    end
  end

  def break_pair(pair)
    [pair.client, pair.server].each do |socket|
      socket.shutdown(Socket::SHUT_RDWR)
    rescue IOError, SystemCallError
      nil
    end
    @mutex.synchronize { @pairs.delete(pair) }
    [pair.client, pair.server].each { |socket| socket.close unless socket.closed? }
  end
end
