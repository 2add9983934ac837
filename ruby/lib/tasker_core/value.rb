# frozen_string_literal: true

module TaskerCore
  # Frozen value objects. A Struct without its writers and without the methods
  # that make `Array(value)` and splats take it apart.
  #
  # @api private
  module Value
    # @param members [Array<Symbol>]
    # @yield the class body
    # @return [Class]
    def self.define(*members, &body)
      Struct.new(*members, keyword_init: true) do
        members.each { |member| undef_method(:"#{member}=") }
        %i[[]= each each_pair to_a].each { |name| undef_method(name) }
        include Frozen
        extend FromRow
        class_eval(&body) if body
      end
    end

    # Instances are frozen as soon as they exist.
    module Frozen
      def initialize(**)
        super
        freeze
      end

      # @return a copy with some members replaced
      def with(**changes) = self.class.new(**to_h, **changes)
    end

    # Builds a value from a row of the extension. Columns this gem does not know
    # are newer than it and are left out; a column that is missing is an error.
    module FromRow
      # @param row [Hash{Symbol => Object}]
      # @return the value
      # @raise [IncompatibleExtension] when a column is missing
      def from_row(row)
        known = row.slice(*members)
        refuse(members - known.keys) if known.size < members.size
        new(**known.transform_values!(&:freeze))
      end

      # @return [Array]
      def from_rows(rows) = rows.map { |row| from_row(row) }

      private

      def refuse(missing)
        raise IncompatibleExtension.new("the extension's answer lacks #{missing.join(", ")}",
                                        hint: "ALTER EXTENSION tasker_core UPDATE")
      end
    end
  end
end
