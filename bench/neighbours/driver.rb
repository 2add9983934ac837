# frozen_string_literal: true

require "securerandom"
require_relative "../lib/server"
require_relative "../lib/timing"
require_relative "../lib/workload"

module Bench
  module Neighbours
    # One system in a database of its own, where somebody has installed it, driven by the calls and
    # statements that its own clients send, each prepared, each in a transaction of its own.
    #
    # A subclass says which shapes of workflows it can express, and how it makes one and works.
    class Driver
      COUNTERS = <<~SQL
        SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) AS writes,
               coalesce(sum(n_tup_upd + n_tup_del), 0) AS dead
          FROM pg_stat_user_tables
      SQL
      RESULT = '{"done": true}'
      LEASE_SECONDS = 600

      # A shape of Workload::SHAPES, in an order in which parents come first.
      def self.steps(shape) = Workload::SHAPES.fetch(shape)

      attr_reader :server

      # @param url [String] the database in which the system is installed
      def initialize(url)
        @server = Server.new(url)
        server.exec("SET client_min_messages = warning; SET jit = off")
      end

      # @return [Array<String>] the shapes it can express
      def shapes = %w[chain-10 diamond-4 one]

      # Can it complete many steps in one statement?
      def batches? = false

      # Once, before anything of this shape is made.
      def prepare(_shape) = nil

      # Makes workflows, a transaction each.
      def create(_shape, _count) = raise(NotImplementedError)

      # Runs everything that was made: claims so many at a time, completes them one by one.
      # @return [Integer] steps
      def work(_shape, batch: 10) = raise(NotImplementedError)

      # Makes workflows, many in one statement.
      def create_in_batches(_shape, _count) = raise(NotImplementedError)

      # Claims and completes so many in one statement each.
      # @return [Integer] steps
      def work_in_batches(_shape, batch: 50) = raise(NotImplementedError)

      # A workflow of n steps in layers of four, and a statement that asks what of it is ready.
      # @return [String, nil] NULL where the system has no such question
      def readiness(_layers) = nil

      # What the server did since the last call, as counters that only grow.
      def counters
        server.exec("SELECT pg_stat_force_next_flush()")
        server.exec("SELECT pg_stat_clear_snapshot()")
        server.exec(COUNTERS).first.to_h { |name, count| [name.to_sym, count.to_i] }
              .merge(wal: server.value("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").to_i, cpu: server.cpu_seconds)
      end

      private

      def call(sql, *values) = server.call(sql, *values).values

      def in_transaction
        server.exec("BEGIN")
        yield.tap { server.exec("COMMIT") }
      end

      # An array as PostgreSQL reads it; none of our values needs quotes.
      def array(values) = "{#{values.join(",")}}"

      # Claims until nothing is left; the block completes what was claimed and returns how many steps that were.
      def until_nothing_is_left(claim)
        steps = 0
        until (claimed = claim.call).empty?
          steps += yield(claimed)
        end
        steps
      end
    end
  end
end
