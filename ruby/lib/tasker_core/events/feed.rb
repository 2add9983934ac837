# frozen_string_literal: true

module TaskerCore
  module Events
    # A thread with a connection of its own that reads events and hands them on.
    #
    # @api private
    class Feed
      # Events read in one call.
      BATCH = 1_000
      # Seconds between two looks after a notification: the event may be held
      # back by a transaction that is older and still running.
      SOON = 0.01

      def initialize(connection:, poll_interval:)
        @connection = connection
        @client = Client.new(connection)
        @poll_interval = poll_interval
        @pause = poll_interval
        @bell = Worker::Bell.new(poll_interval)
        @rung = false
        @stopping = false
      end

      def start(name)
        @thread = Thread.new do
          Thread.current.name = "tasker #{name}"
          Thread.current.report_on_exception = false
          run
        ensure
          @connection.close
        end
        self
      end

      # There may be something new.
      def ring
        @rung = true
        @bell.ring
      end

      # @return [Boolean] whether the thread ended in time; from its own blocks it is not waited for
      def stop(timeout)
        @stopping = true
        @bell.ring
        return true if @thread == Thread.current

        !@thread&.join(timeout).nil?
      end

      private

      def run
        failures = 0
        until @stopping
          begin
            rest unless read_some
            failures = 0
          rescue StandardError => e
            TaskerCore.report_error(e, **context)
            @bell.wait([Backoff.delay(failures, base: 0.1), @poll_interval].max) unless @stopping
            failures += 1
          end
        end
      end

      def rest
        @pause = @rung ? SOON : [@pause * 2, @poll_interval].min
        @rung = false
        @bell.wait(@pause) unless @stopping
      end
    end

    # Hands events to all live subscriptions, from the moment it is made.
    #
    # @api private
    class LiveFeed < Feed
      def initialize(**)
        super
        @subscriptions = [].freeze
        @mutex = Mutex.new
        @cursor = @client.events_lag.head
      end

      def add(subscription) = @mutex.synchronize { @subscriptions = [*@subscriptions, subscription].freeze }

      # @return [Boolean] whether any is left
      def remove(subscription)
        @mutex.synchronize { @subscriptions = @subscriptions.reject { |other| other.equal?(subscription) }.freeze }
        @subscriptions.any?
      end

      private

      def context = { component: "events" }

      def read_some
        events = @client.read_events(after: @cursor, max_events: BATCH)
        events.each do |event|
          return false if @stopping

          @cursor = event.cursor
          hand_on(event)
        end
        events.size == BATCH
      rescue CursorExpired
        @cursor = @client.events_lag.head
        raise
      end

      def hand_on(event)
        @subscriptions.each do |subscription|
          next unless subscription.matches?(event)

          begin
            subscription.call(event, nil)
          rescue StandardError => e
            TaskerCore.report_error(e, component: "events", event: event, subscription: subscription)
          end
        end
      end
    end

    # Hands events to one durable subscription. The cursor moves in the
    # transaction of the subscriber's writes, under a lock that any number of
    # processes may compete for.
    #
    # @api private
    class DurableFeed < Feed
      # Looks in vain before the cursor is moved over events that do not concern the subscription.
      ADVANCE_AFTER = 60

      def initialize(subscription:, pattern:, table:, **options)
        super(**options)
        @subscription = subscription
        @pattern = pattern
        @table = table
        @size = BATCH
        @in_vain = 0
      end

      private

      def context = { component: "events", event: @event, subscription: @subscription }

      # The first look takes no lock and writes nothing.
      def read_some
        @event = nil
        cursor = @table.fetch(@subscription.name)
        head = @client.events_lag.head if advance?
        return advance(cursor, head) if read(cursor, 1).empty?

        @in_vain = 0
        taken = nil
        @connection.transaction do |pg|
          @table.lock(@subscription.name) { |current| taken = take(read(current, @size), pg) }
        end
        @event = nil
        @size = [@size * 2, BATCH].min
        taken.to_i.positive?
      rescue StandardError
        @size = 1 # so that what comes before the event that fails is not done again with it
        raise
      end

      def read(cursor, count) = @client.read_events(after: cursor, max_events: count, pattern: @pattern.for_server)

      # @return [Integer] how many events
      def take(events, pg)
        events.each do |event|
          raise Rollback if @stopping

          @event = event
          @subscription.call(event, pg) if @subscription.matches?(event)
        end
        @table.move(@subscription.name, events.last.cursor) unless events.empty?
        events.size
      end

      def advance? = @pattern.for_server != "*" && @in_vain >= ADVANCE_AFTER

      # Nothing up to the head that was read before concerns this subscription.
      def advance(cursor, head)
        @in_vain += 1
        return false unless head

        @in_vain = 0
        @connection.transaction do
          @table.lock(@subscription.name) do |current|
            @table.move(@subscription.name, head) if current == cursor && current != head
          end
        end
        false
      end
    end
  end
end
