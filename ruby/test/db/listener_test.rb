# frozen_string_literal: true

require "test_helper"

class ListenerTest < DatabaseTest
  def setup
    super
    @heard = Queue.new
    @channel = "test #{namespace}"
    @listener = TaskerCore::Listener.new(URL, channels: [@channel], log: quiet) do |_channel, payload|
      @heard << payload
    end.start
    assert_nil @heard.pop, "connecting counts as something missed"
  end

  def teardown
    @listener&.stop
    super
  end

  def notify(payload)
    connection.query("SELECT pg_notify($1::text, $2::text)", [@channel, payload])
  end

  def backend
    connection.query("SELECT pid FROM pg_stat_activity WHERE query LIKE $1::text", ["LISTEN \"#{@channel}\"%"])
              .first&.fetch(:pid)
  end

  def test_hears
    10.times { |n| notify(n.to_s) }
    assert_equal(Array.new(10, &:to_s), Array.new(10) { @heard.pop })
  end

  def test_comes_back_after_its_connection_died
    before = eventually { backend }
    terminate(before)
    assert_nil @heard.pop, "reconnecting counts as something missed"
    notify("after")
    assert_equal "after", @heard.pop
  end

  def test_connects_anew_when_asked_to
    before = eventually { backend }
    assert_predicate @listener, :connected?
    @listener.reconnect
    assert_nil @heard.pop
    refute_equal before, eventually { backend }
    notify("after")
    assert_equal "after", @heard.pop
  end

  def test_stops_at_once
    assert @listener.stop(30), "its keepalive is #{TaskerCore::Listener::KEEPALIVE} s"
    eventually { backend.nil? }
  end
end
