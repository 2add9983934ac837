# frozen_string_literal: true

module TaskerCore
  module Events
    # The application's own table of how far each durable subscription has come.
    # It is where the subscribers' writes are, so that both commit together.
    class CursorTable
      # Unless another name is given.
      NAME = "tasker_event_cursors"

      # @param connection [Connection]
      # @param name [String] with its schema, if it is not in the search path
      def initialize(connection, name = NAME)
        @connection = connection
        @name = name.split(".").map { |part| PG::Connection.quote_ident(part) }.join(".")
      end

      # Makes the table unless it is there.
      def create
        @connection.query(<<~SQL)
          CREATE TABLE IF NOT EXISTS #{@name} (
            subscription text PRIMARY KEY,
            cursor text,
            updated_at timestamptz NOT NULL DEFAULT now()
          )
        SQL
        nil
      rescue DatabaseError => e
        raise unless %w[23505 42P07].include?(e.sqlstate) # somebody else made it at the same moment
      end

      # @param cursor [String, nil] where a subscription that is new begins
      # @raise [ConfigurationError] when there is no such table
      def add(subscription, cursor)
        @connection.query("INSERT INTO #{@name} (subscription, cursor) VALUES ($1::text, $2::text) " \
                          "ON CONFLICT (subscription) DO NOTHING", [subscription, cursor])
        nil
      rescue DatabaseError => e
        raise unless e.sqlstate == "42P01"

        raise ConfigurationError, "no table #{@name} for the cursors of durable subscriptions: " \
                                  "call TaskerCore::Events.create_cursor_table, or run the migration"
      end

      # @return [String, nil] the cursor of a subscription
      def fetch(subscription)
        rows = @connection.query("SELECT cursor FROM #{@name} WHERE subscription = $1::text", [subscription])
        rows.first&.fetch(:cursor)
      end

      # Locks a subscription until the transaction ends, unless somebody else has it.
      # @yieldparam cursor [String, nil]
      # @return [Boolean] whether it was there to be had
      def lock(subscription)
        rows = @connection.query("SELECT cursor FROM #{@name} WHERE subscription = $1::text " \
                                 "FOR UPDATE SKIP LOCKED", [subscription])
        return false if rows.empty?

        yield rows.first.fetch(:cursor)
        true
      end

      # @param cursor [String] of the last event that is done with
      def move(subscription, cursor)
        @connection.query("UPDATE #{@name} SET cursor = $2::text, updated_at = now() " \
                          "WHERE subscription = $1::text", [subscription, cursor])
        nil
      end

      # Forgets a subscription: one of its name begins anew.
      def remove(subscription)
        @connection.query("DELETE FROM #{@name} WHERE subscription = $1::text", [subscription])
        nil
      end
    end
  end
end
