# frozen_string_literal: true

require "test_helper"
require "support/pools"

# What must hold for every library whose connections the gem borrows. Each
# class below says how that library opens a transaction and writes.
module PoolBehaviour
  def setup
    super
    create_ledger
    @tables = TaskerCore::Client.new(source)
    @tables.register_task_template(definition(namespace: namespace, steps: { one: [] }))
  end

  def create_borrowed = @tables.create_task("linear", namespace: namespace).task_id

  def exists?(task_id) = !client.get_task_execution_context(task_id).nil?

  def test_a_task_joins_the_applications_transaction
    kept = lost = nil
    app_transaction { write("kept") && kept = create_borrowed }
    assert_raises(RuntimeError) { app_transaction { write("lost") && (lost = create_borrowed) && raise } }
    assert_equal [true, false, ["kept"]], [exists?(kept), exists?(lost), ledger]
  end

  def test_the_applications_writes_join_ours
    kept = lost = nil
    value = @tables.transaction { |pg| write("kept") && write_ledger(pg, "kept too") && kept = create_borrowed }
    assert_equal kept, value
    assert_raises(RuntimeError) { @tables.transaction { write("lost") && (lost = create_borrowed) && raise } }
    assert_nil(@tables.transaction { write("lost") && raise(TaskerCore::Rollback) })
    assert_equal [true, false, ["kept", "kept too"]], [exists?(kept), exists?(lost), ledger]
    refute_predicate @tables.connection, :transaction_open?
  end

  def test_a_transaction_inside_the_applications_is_part_of_it
    assert_raises(RuntimeError) { app_transaction { @tables.transaction { write("lost") } && raise } }
    assert_raises(RuntimeError) { @tables.transaction { app_transaction { write("lost") } && raise } }
    assert_empty ledger
  end

  def leave_by_return = @tables.transaction { write("lost") && (return :early) }

  def test_leaving_early_and_swallowed_errors_do_not_commit
    assert_raises(TaskerCore::TransactionAborted) { leave_by_return }
    assert_raises(TaskerCore::TransactionAborted) do
      @tables.transaction do |pg|
        write("lost")
        begin
          pg.exec("SELECT 1/0")
        rescue PG::Error
          nil
        end
      end
    end
    assert_empty ledger
    refute_predicate @tables.connection, :transaction_open?
  end

  def test_a_commit_whose_answer_is_lost_is_told_apart
    error = assert_raises(TaskerCore::CommitUnknown) do
      @tables.transaction do |pg|
        pg.exec("CREATE FUNCTION pg_temp.die() RETURNS trigger LANGUAGE plpgsql AS " \
                "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$")
        pg.exec("CREATE TEMP TABLE doomed (x int)")
        pg.exec("CREATE CONSTRAINT TRIGGER die AFTER INSERT ON doomed DEFERRABLE INITIALLY DEFERRED " \
                "FOR EACH ROW EXECUTE FUNCTION pg_temp.die()")
        pg.exec("INSERT INTO doomed VALUES (1)")
      end
    end
    assert_kind_of TaskerCore::ConnectionError, error
  end

  def test_errors_are_ours_and_type_maps_theirs
    error = assert_raises(TaskerCore::TemplateNotFound) { @tables.create_task("nope", namespace: namespace) }
    assert_equal "TC001", error.sqlstate
    assert_equal({ "n" => 1 }, @tables.create_task("linear", namespace: namespace, context: { n: 1 }) &&
                               @tables.claim_steps(worker_id: "w", namespaces: [namespace]).first.task_context)
    assert_equal 7, seven
  end

  def test_threads_share_it
    assert_same @tables.connection, @tables.connection.spawn
    ids = Array.new(3) { Thread.new { Array.new(5) { create_borrowed } } }.flat_map(&:value)
    assert_equal 15, ids.uniq.size
  end
end

class ActiveRecordTest < DatabaseTest
  include PoolBehaviour

  def setup
    skip "TASKER_TEST_URL names no database" unless URL
    skip "ActiveRecord is not installed" unless Pools.load("active_record")
    Pools.active_record
    super
  end

  def teardown
    ActiveRecord::Base.remove_connection if defined?(ActiveRecord::Base)
    super
  end

  def source = ActiveRecord

  def app_transaction(&block) = ActiveRecord::Base.transaction(&block)

  def model
    @model ||= Class.new(ActiveRecord::Base) do
      self.table_name = "public.tasker_test_ledger"
      self.inheritance_column = nil
      def self.name = "LedgerEntry"
    end
  end

  def write(entry) = model.create!(namespace: namespace, entry: entry)

  def seven = ActiveRecord::Base.connection.select_value("SELECT 7")

  def test_every_form_of_it
    pg = ActiveRecord::Base.connection.raw_connection
    [ActiveRecord, ActiveRecord::Base, model, ActiveRecord::Base.connection_pool].each do |form|
      assert_same(pg, TaskerCore::Connection.new(form).with { |lent| lent })
    end
  end

  def test_callbacks_after_the_commit_run
    committed = []
    model.after_commit { committed << entry }
    @tables.transaction { write("kept") }
    assert_equal ["kept"], committed
  end
end

class SequelTest < DatabaseTest
  include PoolBehaviour

  def setup
    skip "TASKER_TEST_URL names no database" unless URL
    skip "Sequel is not installed" unless Pools.load("sequel")
    @db = Pools.sequel
    super
  end

  def teardown
    @db&.disconnect
    super
  end

  def source = @db

  def app_transaction(&block) = @db.transaction(&block)

  def write(entry) = @db[Sequel[:public][:tasker_test_ledger]].insert(namespace: namespace, entry: entry) || true

  def seven = @db.get(Sequel.cast(7, :integer))
end

class ConnectionPoolTest < DatabaseTest
  include PoolBehaviour

  def setup
    skip "TASKER_TEST_URL names no database" unless URL
    skip "connection_pool is not installed" unless Pools.load("connection_pool")
    @pool = ConnectionPool.new(size: 3, timeout: 30) { PG.connect(URL) }
    super
  end

  def teardown
    @pool&.shutdown(&:close)
    super
  end

  def source = @pool

  # The driver's own transaction does not nest; an application that nests asks first, as ours does.
  def app_transaction
    @pool.with { |pg| pg.transaction_status == PG::PQTRANS_IDLE ? pg.transaction { yield } : yield }
  end

  def write(entry) = @pool.with { |pg| write_ledger(pg, entry) }

  def seven = @pool.with { |pg| pg.exec("SELECT 7 AS x").first.fetch("x").to_i }
end

class ProcTest < DatabaseTest
  include PoolBehaviour

  def setup
    skip "TASKER_TEST_URL names no database" unless URL
    @pools = Hash.new { |pools, thread| pools[thread] = PG.connect(URL) }
    super
  end

  def teardown
    @pools&.each_value(&:close)
    super
  end

  def source = ->(&block) { block.call(@pools[Thread.current]) }

  def app_transaction
    pg = @pools[Thread.current]
    pg.transaction_status == PG::PQTRANS_IDLE ? pg.transaction { yield } : yield
  end

  def write(entry) = write_ledger(@pools[Thread.current], entry)

  def seven = @pools[Thread.current].exec("SELECT 7 AS x").first.fetch("x").to_i
end
