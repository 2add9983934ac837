# frozen_string_literal: true

module TaskerCore
  # Frozen value objects. A Struct without its writers and without the methods
  # that make `Array(value)` and splats take it apart.
  #
  # Every claim makes some, and every row: so their constructors are written out
  # for the members they have, which Ruby calls without a Hash in between.
  #
  # @api private
  module Value
    # @param members [Array<Symbol>]
    # @yield the class body
    # @return [Class]
    def self.define(*members, &body)
      Struct.new(*members) do
        members.each { |member| undef_method(:"#{member}=") }
        %i[[]= each each_pair to_a].each { |name| undef_method(name) }
        include Copy
        extend FromRow
        singleton_class.alias_method(:of_members, :new)
        singleton_class.class_eval(Value.constructors(members), __FILE__, __LINE__)
        private_class_method :of_members, :[]
        class_eval(&body) if body
      end
    end

    # @param members [Array<Symbol>]
    # @return [String] `new` takes keywords; `from_row` a row of the extension. Columns this gem does not
    #   know are newer than it and are left out; a column that is missing is an error
    def self.constructors(members)
      <<~RUBY
        def new(#{members.map { |member| "#{member}: nil" }.join(", ")}) = of_members(#{members.join(", ")}).freeze

        def from_row(row)
          of_members(#{members.map { |member| "row.fetch(:#{member}) { refuse(row) }.freeze" }.join(", ")}).freeze
        end
      RUBY
    end

    # Instances are never changed.
    module Copy
      # @return a copy with some members replaced
      def with(**changes) = self.class.new(**to_h, **changes)
    end

    # Builds values from rows of the extension, each a Hash by column.
    module FromRow
      # @param rows [Array<Hash{Symbol => Object}>]
      # @return [Array]
      # @raise [IncompatibleExtension] when a column is missing
      def from_rows(rows) = rows.map { |row| from_row(row) }

      private

      def refuse(row)
        raise IncompatibleExtension.new("the extension's answer lacks #{(members - row.keys).join(", ")}",
                                        hint: "ALTER EXTENSION tasker_core UPDATE")
      end
    end
  end
end
