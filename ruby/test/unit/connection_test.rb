# frozen_string_literal: true

require "test_helper"
require "open3"

# Where connections come from; what they do is tested against a server.
class ConnectionSourceTest < UnitTest
  PG_CONNECTION = PG::Connection.allocate

  # A pool with one method that lends a connection.
  def pool(method, lent = PG_CONNECTION)
    Object.new.tap { |object| object.define_singleton_method(method) { |&block| block.call(lent) } }
  end

  def lent_by(source) = TaskerCore::Connection.new(source).with { |pg| pg }

  def test_pools_are_known_by_what_they_answer_to
    %i[with_connection with synchronize checkout].each do |method|
      assert_same PG_CONNECTION, lent_by(pool(method)), method
    end
  end

  def test_a_pool_whose_checkout_takes_no_block_is_asked_otherwise
    source = pool(:with)
    source.define_singleton_method(:checkout) { raise "no block" }
    assert_same PG_CONNECTION, lent_by(source)
  end

  # In a process of its own, since it concerns every object there is.
  def test_a_method_that_everything_has_makes_no_pool
    script = <<~RUBY
      class Object # as ActiveSupport 7.1 does
        def with(**) = yield(self)
      end
      require "tasker_core"
      database = Object.new
      def database.synchronize = yield(PG::Connection.allocate)
      puts TaskerCore::Connection.new(database).with(&:class)
      begin
        TaskerCore::Connection.new(Object.new)
      rescue TaskerCore::ConfigurationError => e
        puts e.message
      end
    RUBY
    out, status = Open3.capture2e(RbConfig.ruby, "-I", File.expand_path("../../lib", __dir__), "-e", script)
    assert_predicate status, :success?, out
    assert_match(/\APG::Connection\nno connection can be had from Object: /, out)
  end

  def test_procs_yield
    assert_same PG_CONNECTION, lent_by(->(&block) { block.call(PG_CONNECTION) && :something_else })
  end

  def test_adapters_are_unwrapped
    adapter = Struct.new(:raw_connection).new(PG_CONNECTION)
    assert_same PG_CONNECTION, lent_by(pool(:with_connection, adapter))
  end

  def test_a_connection_serves_one_thread_only
    connection = TaskerCore::Connection.new(PG_CONNECTION)
    assert_same(PG_CONNECTION, connection.with { |pg| pg })
    assert_raises(TaskerCore::ConfigurationError) { connection.spawn }
  end

  def test_spawn
    pooled = TaskerCore::Connection.new(pool(:with))
    assert_same pooled, pooled.spawn
    owned = TaskerCore::Connection.new("postgresql:///x")
    refute_same owned, owned.spawn
    assert_equal ["postgresql:///x", nil], [owned.spawn.conninfo, pooled.conninfo]
    assert_same owned, TaskerCore::Connection.wrap(owned)
  end

  def test_what_is_no_source_is_refused_at_once
    [nil, 42, Object.new].each do |source|
      assert_raises(TaskerCore::ConfigurationError) { TaskerCore::Connection.new(source) }
    end
  end

  def test_a_source_that_lends_something_else_is_told_so
    error = assert_raises(TaskerCore::ConfigurationError) { lent_by(pool(:with, "no connection")) }
    assert_match(/yielded String/, error.message)
    error = assert_raises(TaskerCore::ConfigurationError) { lent_by(->(&_block) {}) }
    assert_match(/did not yield/, error.message)
  end

  def test_an_unreachable_server_is_a_connection_error
    error = assert_raises(TaskerCore::ConnectionError) do
      TaskerCore::Connection.new({ "host" => "/nonexistent", dbname: "x" }).query("SELECT 1")
    end
    assert_predicate error, :retryable?
    refute_includes error.message, "\n"
  end

  def test_the_module_uses_one_client_until_the_connection_changes
    saved = TaskerCore.connection
    TaskerCore.connection = pool(:with)
    client = TaskerCore.client
    assert_same client, TaskerCore.client
    assert_same TaskerCore.connection, client.connection
    TaskerCore.connection = pool(:with)
    refute_same client, TaskerCore.client
  ensure
    TaskerCore.connection = saved
  end
end
