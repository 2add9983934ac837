# frozen_string_literal: true

require "fileutils"
require "socket"

module Fault
  # Stands between clients and a server and cuts connections at COMMIT: either the server has done it
  # and the client never hears, or the server never hears.
  class Proxy
    attr_reader :directory, :cuts

    # @param server [String] directory of the server's socket
    # @param share [Float] of COMMITs that are cut
    def initialize(server, directory, random, share)
      @server = File.join(server, ".s.PGSQL.5432")
      @directory = directory
      @random = random
      @share = share
      @cuts = { answer: 0, request: 0 }
      @mutex = Mutex.new
    end

    def start
      FileUtils.mkdir_p(directory)
      @listener = UNIXServer.new(File.join(directory, ".s.PGSQL.5432"))
      @thread = Thread.new { loop { serve(@listener.accept) } }
      self
    rescue IOError
      nil
    end

    def stop
      @thread&.kill
      @listener&.close
    end

    private

    def serve(client)
      Thread.new do
        server = UNIXSocket.new(@server)
        pass_on(client, server)
      rescue SystemCallError, IOError
        nil
      ensure
        [client, server].each { |socket| socket&.close }
      end
    end

    def pass_on(client, server)
      fate = nil
      loop do
        ready, = IO.select([client, server])
        ready.each do |socket|
          bytes = socket.readpartial(65_536)
          if socket == client
            fate = fate_of(bytes)
            return count(:request) if fate == :request

            server.write(bytes)
          elsif fate == :answer
            return count(:answer) # arrived here, so it is done
          else
            client.write(bytes)
          end
        end
      end
    end

    # A simple query is one message, and clients send no other before it is answered.
    def fate_of(bytes)
      return unless bytes.start_with?("Q") && bytes.end_with?("COMMIT\0")

      @mutex.synchronize { %i[answer answer request].sample(random: @random) if @random.rand < @share }
    end

    def count(what) = @mutex.synchronize { @cuts[what] += 1 }
  end
end
