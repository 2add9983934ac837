# frozen_string_literal: true

require_relative "worker/bell"
require_relative "events/pattern"
require_relative "events/cursor_table"
require_relative "events/subscription"
require_relative "events/feed"
require_relative "events/bus"
require_relative "events/subscriber"

module TaskerCore
  # What happens to tasks and steps, and what applications publish.
  #
  # Everything is read with `read_events`, in an order that later commits keep;
  # notifications only say that it is worth looking. There are two ways to follow:
  #
  # - live, {subscribe} with patterns alone: from now on, for as long as the process lives
  # - durable, {subscribe} with `as:`: from where the subscription of that name stopped, whoever ran
  #   it. The cursor is kept in a table and moves in the transaction that the block's writes are in:
  #   each event takes effect exactly once
  module Events
    @mutex = Mutex.new

    class << self
      # Calls the block for every event whose name matches one of the patterns,
      # in which * stands for any characters. What the block raises goes to
      # {TaskerCore.on_error}; a live subscription goes on with the next event, a
      # durable one rolls back and tries the same event again, ever less often.
      #
      # @param patterns [Array<String>] none: every event
      # @param as [String, nil] name of a durable subscription
      # @param from [:now, :beginning] where a durable subscription that is new begins
      # @yieldparam event [Event]
      # @yieldparam pg [PG::Connection, nil] of a durable subscription: what is written through it,
      #   or through models of the same ActiveRecord or Sequel, commits with the cursor
      # @return [Subscription]
      def subscribe(*patterns, as: nil, from: :now, &block)
        bus.subscribe(*patterns, as: as, from: from, &block)
      end

      # @see Client#publish_event
      def publish(name, **options) = TaskerCore.client.publish_event(name, **options)

      # Past events, without waiting for more.
      # @param after [String, nil] cursor of the last event seen; nil for the first
      # @yieldparam event [Event]
      # @return [Enumerator, String, nil] without a block an Enumerator, else the last cursor
      def replay(after: nil, pattern: "*", client: TaskerCore.client, &block)
        return enum_for(:replay, after: after, pattern: pattern, client: client) unless block

        loop do
          events = client.read_events(after: after, pattern: pattern, max_events: Feed::BATCH)
          events.each(&block)
          after = events.last.cursor unless events.empty?
          return after if events.size < Feed::BATCH
        end
      end

      # Makes the table that durable subscriptions keep their cursors in, unless it is there.
      def create_cursor_table = CursorTable.new(TaskerCore.connection).create

      # Ends all subscriptions of this process and waits for the blocks that run.
      # @param timeout [Numeric] seconds
      # @return [Boolean] whether all ended
      def stop(timeout = 5)
        stopped = @mutex.synchronize { @bus.tap { @bus = nil } }
        stopped.nil? || stopped.stop(timeout)
      end

      # @return [Bus] of this process, on {TaskerCore.connection}
      def bus = @mutex.synchronize { @bus ||= Bus.new }
    end
  end
end
