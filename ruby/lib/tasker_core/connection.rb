# frozen_string_literal: true

require "io/wait"
require "monitor"
require "pg"

module TaskerCore
  # Where the gem's PG connections come from, and the only way to the server.
  #
  # Accepted sources, told apart by what they answer to:
  # - a URL or conninfo String, a Hash of libpq parameters: one connection of our own, opened on first use
  # - a PG::Connection
  # - ActiveRecord, one of its classes, or one of its pools
  # - a Sequel::Database
  # - any pool with `with`, `with_connection`, `synchronize` or a `checkout` that takes a block
  # - a Proc that yields a connection
  #
  # Pools and procs must be reentrant: asked again inside their own block, they
  # hand out the same connection. That is what lets a call join the transaction
  # that the application has open. A transaction that begins here, on the other
  # hand, is one of ActiveRecord or Sequel if the connection is theirs, so that
  # models used inside it take part.
  class Connection
    POOL_METHODS = %i[with_connection with synchronize checkout].freeze
    # Whose methods say nothing about an object: ActiveSupport 7.1 gives `with` to everything.
    EVERYTHING = [Object, Kernel, BasicObject].freeze
    # ruby-pg before 1.5.7 cannot be trusted when several threads connect at once.
    CONNECT = Mutex.new
    private_constant :POOL_METHODS, :EVERYTHING, :CONNECT

    # @return [Connection] the source itself if it is one already
    def self.wrap(source)
      source.is_a?(Connection) ? source : new(source)
    end

    # Opens a connection of our own.
    # @param conninfo [String, Hash]
    # @return [PG::Connection]
    # @raise [ConnectionError]
    def self.open(conninfo)
      CONNECT.synchronize do
        if conninfo.is_a?(Hash)
          PG.connect(fallback_application_name: "tasker_core", **conninfo.transform_keys(&:to_sym))
        else
          PG.connect(conninfo, fallback_application_name: "tasker_core")
        end
      end
    rescue PG::Error => e
      raise ConnectionError, e.message.lines.first.to_s.chomp
    end

    # @param source see the class
    # @raise [ConfigurationError] when it is nothing of the kind
    def initialize(source)
      @source = active_record?(source) ? source.const_get(:Base) : source
      @kind = kind_of(@source)
      @pooled = !%i[owned single].include?(@kind)
      @monitor = Monitor.new
      @pg = nil
      @pid = nil
      @in_transaction = false
    end

    # @return [String, Hash, nil] how to open more connections like this one; nil for borrowed ones
    def conninfo = (@source if @kind == :owned)

    # A connection for the use of another thread: a new one to the same server,
    # or this same object when a pool gives each thread its own.
    # @return [Connection]
    def spawn
      return self.class.new(@source) if @kind == :owned
      return self unless @kind == :single

      raise ConfigurationError, "one PG::Connection cannot serve several threads; give a URL or a pool"
    end

    # Lends the PG::Connection for the length of the block.
    # @yieldparam pg [PG::Connection]
    # @return what the block returns
    def with
      return @monitor.synchronize { yield checkout } unless @pooled

      borrow { |borrowed| yield(unwrap(borrowed)) }
    end

    # Calls one function of the extension. Every keyword is sent; leave one out
    # to get the extension's default.
    # @return [Array<Hash{Symbol => Object}>]
    # @raise [DatabaseError]
    def call(function, **arguments)
      sql, parameters = Functions.statement(function, arguments)
      query(sql, parameters)
    end

    # Runs one statement with parameters that are Strings or nil already. The
    # unnamed statement of one round trip works behind every pooler; a prepared
    # one does not.
    # @return [Array<Hash{Symbol => Object}>]
    # @raise [DatabaseError]
    def query(sql, parameters = [])
      with do |pg|
        Codec.decode(pg.exec_params(sql, parameters, 0, Codec::PARAMETERS))
      rescue PG::Error => e
        raise Errors.translate(e, pg)
      end
    end

    # Runs the block in a transaction; inside another one it joins that one.
    # Commits when the block ends, rolls back when it raises. {Rollback} rolls
    # back and returns nil. Leaving the block by return, break or throw rolls
    # back and raises {TransactionAborted}, because neither commit nor silence
    # would be right for everyone.
    # @yieldparam pg [PG::Connection]
    # @return what the block returns
    # @raise [CommitUnknown] when the connection broke during COMMIT
    def transaction(&block)
      borrow do |borrowed|
        pg = unwrap(borrowed)
        next yield(pg) unless pg.transaction_status == PG::PQTRANS_IDLE

        run_transaction(pg, bracket(borrowed), &block)
      end
    end

    # @return [Boolean] whether a transaction is open on the connection the next call would use
    def transaction_open? = with { |pg| pg.transaction_status != PG::PQTRANS_IDLE }

    # Closes our own connection; borrowed ones are their owner's business.
    def close
      return unless @kind == :owned

      @monitor.synchronize do
        @pg&.close if @pid == Process.pid
        @pg = nil
      end
    rescue PG::Error
      @pg = nil
    end

    private

    def kind_of(source)
      case source
      when String, Hash then :owned
      when PG::Connection then :single
      when Proc then :proc
      else
        return :connection_pool if source.respond_to?(:connection_pool)

        POOL_METHODS.find { |name| lends_by?(source, name) } ||
          raise(ConfigurationError, "no connection can be had from #{source.class}: expected a URL, a Hash, " \
                                    "a PG::Connection, ActiveRecord, a Proc or a pool (#{POOL_METHODS.join(", ")})")
      end
    end

    def lends_by?(source, name)
      source.respond_to?(name) && !EVERYTHING.include?(source.method(name).owner)
    end

    def active_record?(source) = source.is_a?(Module) && source.name == "ActiveRecord"

    def borrow
      return @monitor.synchronize { yield checkout } unless @pooled

      lent = false
      result = nil
      lend do |borrowed|
        lent = true
        result = yield(borrowed)
      end
      raise ConfigurationError, "the connection source did not yield a connection" unless lent

      result
    end

    def lend(&block)
      case @kind
      when :proc then @source.call(&block)
      when :connection_pool then @source.connection_pool.with_connection(&block)
      else @source.public_send(@kind, &block)
      end
    end

    # Adapters of object mappers wrap the driver's connection.
    def unwrap(borrowed)
      return borrowed if borrowed.is_a?(PG::Connection)

      raw = borrowed.respond_to?(:raw_connection) ? borrowed.raw_connection : borrowed
      return raw if raw.is_a?(PG::Connection)

      raise ConfigurationError, "the connection source yielded #{raw.class}, not a PG::Connection"
    end

    # A connection found dead before anything was sent is replaced without a
    # word; never inside a transaction, whose rest would run outside of it.
    def checkout
      return @source if @kind == :single

      abandon_inherited if @pg && @pid != Process.pid
      return @pg if @in_transaction

      drop if @pg && !alive?
      @pg ||= self.class.open(@source).tap { @pid = Process.pid }
    end

    # The server has nothing to say to an idle connection but notifications and
    # its farewell; the end of the stream shows only after both are read.
    def alive?
      return false if @pg.finished? || @pg.status != PG::CONNECTION_OK
      return true unless @pg.transaction_status == PG::PQTRANS_IDLE

      @pg.consume_input while @pg.socket_io.wait_readable(0)
      @pg.status == PG::CONNECTION_OK
    rescue PG::Error
      false
    end

    def drop
      @pg.close unless @pg.finished?
    rescue PG::Error
      nil
    ensure
      @pg = nil
    end

    # After a fork the socket is shared, and whatever closes it in the child
    # ends the parent's session. Only the child's descriptor is turned away.
    def abandon_inherited
      @pg.socket_io.reopen(IO::NULL)
      @pg = nil
      @in_transaction = false
    end

    # How a transaction begins and ends on this connection: in the way of its
    # owner, who must know of it.
    # @return [#call] runs a block in a transaction, and rolls back when it raises
    def bracket(borrowed)
      if borrowed.respond_to?(:raw_connection) && borrowed.respond_to?(:transaction)
        ->(&block) { borrowed.transaction { block.call(unwrap(borrowed)) } }
      elsif @kind == :synchronize && @source.respond_to?(:transaction)
        ->(&block) { @source.transaction { block.call(borrowed) } }
      else
        ->(&block) { plain_transaction(borrowed, &block) }
      end
    end

    def run_transaction(pg, bracket, &block)
      finished = false
      bracket.call { |conn| to_the_end(conn, &block).tap { finished = true } }
    rescue Rollback
      nil
    rescue StandardError => e
      raise unless finished

      raise commit_error(e, pg)
    end

    def to_the_end(pg)
      left_early = true
      value = yield pg
      left_early = false
      if pg.transaction_status == PG::PQTRANS_INERROR
        raise TransactionAborted, "a statement of the transaction failed and its error was not raised on; " \
                                  "everything is rolled back"
      end
      value
    rescue Exception # rubocop:disable Lint/RescueException -- raised on
      left_early = false
      raise
    ensure
      if left_early
        raise TransactionAborted, "the transaction block was left by return, break or throw and is rolled back; " \
                                  "use next to end it early"
      end
    end

    def plain_transaction(pg)
      begin_transaction(pg)
      value = yield pg
      commit(pg)
      value
    rescue Exception # rubocop:disable Lint/RescueException -- raised on
      rollback(pg)
      raise
    ensure
      @in_transaction = false
    end

    def begin_transaction(pg)
      pg.exec("BEGIN")
      @in_transaction = true
    rescue PG::Error => e
      raise Errors.translate(e, pg)
    end

    def commit(pg) = pg.exec("COMMIT")

    # What COMMIT said, whoever sent it: mappers wrap the driver's error in one of their own.
    def commit_error(error, pg)
      original = error
      original = original.cause until original.nil? || original.is_a?(PG::Error)
      return error unless original

      translated = Errors.translate(original, pg)
      return translated unless translated.is_a?(ConnectionError)

      CommitUnknown.new(translated.message, sqlstate: translated.sqlstate)
    end

    def rollback(pg)
      return if pg.finished? || pg.transaction_status == PG::PQTRANS_IDLE

      pg.exec("ROLLBACK")
    rescue PG::Error
      nil # the connection is gone, and the transaction with it
    end
  end
end
