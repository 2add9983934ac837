# frozen_string_literal: true

require "pg"

module Fault
  # A connection that comes back. Transactions whose COMMIT was not answered are run again, until the
  # server says what became of them.
  class Session
    class CommitUnknown < StandardError; end

    LEASE = 2.0
    PATIENCE = 120
    # The server ends the connection, or is not there yet.
    GONE = %w[57P01 57P02 57P03 25006].freeze
    # Losing a race against another worker, an operator or one's own lease is nobody's fault.
    LOST_RACE = %w[TC010 TC011 TC012].freeze

    attr_reader :name

    # @param load [Load] says where the server is, what may break, and when to stop
    def initialize(load, name)
      @load = load
      @ledger = load.ledger
      @random = Random.new(load.random.rand(1 << 32))
      @refused = 0
      @name = name
    end

    def close = disconnect

    private

    # Runs one verb; what may break is counted, anything else is a surprise.
    def attempt(verb)
      yield
      @ledger.did(verb)
      @refused = 0
      disconnect if @random.rand < @load.leaving
    rescue CommitUnknown
      disconnect # of something that need not be known
      @load.connections_break ? @ledger.expect("#{verb} unanswered") : @ledger.surprise("#{name} #{verb}: COMMIT was not answered")
    rescue PG::Error => error
      broken = broken?(error)
      note(verb, error, broken)
      broken ? disconnect : forget_transaction
    end

    # Runs a transaction that may be run again: after a lost answer it is, until it is answered.
    def settled
      deadline = Fault.now + PATIENCE
      begin
        transaction { yield }
      rescue CommitUnknown
        @ledger.commit_unknown unless @asking
        @asking = true
        disconnect
        retry if Fault.now < deadline
        @ledger.surprise("#{name}: no answer within #{PATIENCE} s")
      rescue PG::Error => error
        raise unless @asking && Fault.now < deadline && (broken?(error) || @load.tolerates?(sqlstate(error)))

        broken?(error) ? disconnect : forget_transaction
        back_off
        retry
      end
    ensure
      @asking = false
    end

    def transaction
      committing = false
      exec("BEGIN ISOLATION LEVEL #{@load.isolation}")
      answer = yield
      committing = true
      tag = exec("COMMIT").cmd_status
      tag == "COMMIT" ? answer : raise(PG::InFailedSqlTransaction, "COMMIT answered #{tag}")
    rescue PG::Error => error
      raise CommitUnknown if committing && broken?(error)

      raise
    end

    def query(sql, *values) = connection.exec_params(sql, values)
    def exec(sql) = connection.exec(sql)
    def array(values) = "{#{values.join(",")}}"

    def connection
      @connection ||= PG.connect(@load.url, application_name: Load::APPLICATION).tap do |pg|
        pg.set_notice_receiver { nil }
        @load.settings.each { |setting| pg.exec(setting) }
      end
    end

    def disconnect
      @connection&.close
    rescue PG::Error
      nil
    ensure
      @connection = nil
    end

    def forget_transaction
      exec("ROLLBACK")
    rescue PG::Error
      disconnect
    end

    # A crowd at the door of a server that is just starting keeps it from starting.
    def back_off = sleep(0.01 * (2**[@refused += 1, 6].min) * @random.rand)

    def note(verb, error, broken)
      state = sqlstate(error)
      if LOST_RACE.include?(state) || @load.tolerates?(state) then @ledger.expect("#{verb} #{state}")
      elsif broken && @load.connections_break then @ledger.expect("#{verb} connection"); back_off
      else @ledger.surprise("#{name} #{verb}: #{state} #{error.message.tr("\n", " ")}")
      end
    end

    def sqlstate(error) = error.result&.error_field(PG::Result::PG_DIAG_SQLSTATE)

    def broken?(error)
      error.is_a?(PG::ConnectionBad) || error.is_a?(PG::UnableToSend) || GONE.include?(sqlstate(error)) ||
        @connection.nil? || @connection.finished? || @connection.status != PG::CONNECTION_OK
    end
  end
end
