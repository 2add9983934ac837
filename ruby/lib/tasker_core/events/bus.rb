# frozen_string_literal: true

module TaskerCore
  module Events
    # The subscriptions of one process: one thread listens, one serves all that
    # are live, and each durable one has its own.
    class Bus
      # @param connection [Connection, Object] see {Connection}
      # @param listen_url [String, Hash, nil] a direct connection to listen on, where the main one is
      #   pooled; without any the database is asked every `poll_interval` only
      # @param poll_interval [Numeric] seconds between looks when nothing is heard
      # @param cursor_table [String] table of durable subscriptions
      def initialize(connection: TaskerCore.connection, listen_url: TaskerCore.listen_url, poll_interval: 1.0,
                     cursor_table: CursorTable::NAME)
        @connection = Connection.wrap(connection)
        @listen_url = listen_url || @connection.conninfo
        @poll_interval = poll_interval
        @cursor_table = cursor_table
        @mutex = Mutex.new
        @feeds = {}
        @stopped = false
      end

      # @see Events.subscribe
      def subscribe(*patterns, as: nil, from: :now, &block)
        raise ArgumentError, "a block is needed" unless block
        raise ArgumentError, "from: is :now or :beginning, not #{from.inspect}" unless %i[now beginning].include?(from)

        pattern = Pattern.new(patterns.flatten)
        subscription = Subscription.new(pattern, block, name: as&.to_s) { |one, timeout| remove(one, timeout) }
        @mutex.synchronize do
          raise Error, "this bus was stopped" if @stopped

          as ? add_durable(subscription, pattern, from) : add_live(subscription)
          listen
        end
        subscription
      end

      # @param timeout [Numeric] seconds
      # @return [Boolean] whether everything ended
      def stop(timeout = 5)
        feeds = @mutex.synchronize do
          @stopped = true
          @feeds.values
        end
        @listener&.stop(timeout)
        feeds.map { |feed| feed.stop(timeout) }.all?
      end

      private

      def options = { connection: @connection.spawn, poll_interval: @poll_interval }

      def add_live(subscription)
        feed = @feeds[:live] ||= LiveFeed.new(**options).start("events")
        feed.add(subscription)
      end

      def add_durable(subscription, pattern, from)
        raise ArgumentError, "#{subscription.name} is subscribed already" if @feeds.key?(subscription.name)

        connection = @connection.spawn
        table = CursorTable.new(connection, @cursor_table)
        table.add(subscription.name, (Client.new(connection).events_lag.head if from == :now))
        @feeds[subscription.name] =
          DurableFeed.new(subscription: subscription, pattern: pattern, table: table, connection: connection,
                          poll_interval: @poll_interval).start("events #{subscription.name}")
      end

      def listen
        return unless @listen_url

        @listener ||= Listener.new(@listen_url, channels: ["tasker_events"], log: TaskerCore.log) do
          @mutex.synchronize { @feeds.values }.each(&:ring)
        end.start
      end

      # The last one that goes turns off the light.
      def remove(subscription, timeout)
        feed, listener = @mutex.synchronize do
          key = subscription.name || :live
          next if @feeds[key].nil? || (key == :live && @feeds[key].remove(subscription))

          [@feeds.delete(key), (@listener.tap { @listener = nil } if @feeds.empty?)]
        end
        listener&.stop(timeout)
        feed.nil? || feed.stop(timeout)
      end
    end
  end
end
