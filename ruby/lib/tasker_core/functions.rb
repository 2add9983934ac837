# frozen_string_literal: true

module TaskerCore
  # One SQL function of the extension, declared by a line of {Client}: its
  # arguments as in the extension's script, and what becomes of its answer.
  #
  # @api private
  class Functions
    # optional: has a default in SQL; keyword: a keyword in Ruby too, like everything optional.
    Argument = Value.define(:name, :type, :optional, :keyword, :bit)
    # No argument's value.
    MISSING = Object.new.freeze
    private_constant :MISSING

    # Names that Ruby takes as keywords but not as variables.
    RESERVED = %i[yield end class if in do].freeze
    private_constant :RESERVED

    @table = {}

    class << self
      # @return [Hash{Symbol => Functions}] everything declared, by name
      attr_reader :table

      # @return [Functions]
      def declare(name, signature, answer)
        table[name] = new(name, signature, answer)
      end

      # Named notation, so that arguments the extension gains later do no harm;
      # a cast on every placeholder, so that nothing is left to inference.
      #
      # @param function [Symbol]
      # @param arguments [Hash{Symbol => Object}]
      # @return [Array(String, Array<String, nil>)] statement and parameters
      def statement(function, arguments)
        table.fetch(function) { raise ArgumentError, "unknown function: #{function}" }.statement(arguments)
      end
    end

    # @return [Symbol]
    attr_reader :name
    # @return [Array<Argument>] in the order of the SQL function
    attr_reader :arguments
    # @return see {Client.function}
    attr_reader :answer

    # @see Client.function
    def initialize(name, signature, answer)
      @name = name
      @arguments = parse(signature).freeze
      @answer = answer
      @texts = {}
      freeze
    end

    # @return [Array(String, Array<String, nil>)]
    def statement(values)
      given = 0
      parameters = []
      arguments.each do |argument|
        value = values.fetch(argument.name, MISSING)
        next if MISSING.equal?(value)

        given |= argument.bit
        parameters << encode(argument, value)
      end
      refuse_unknown(values) if parameters.size < values.size
      [@texts[given] ||= text(given), parameters]
    end

    # @param rows [Array<Hash{Symbol => Object}>]
    # @return what the declaration promises
    def shape(rows)
      case answer
      when :value then rows.first.each_value.first
      when :values then rows.map { |row| row.each_value.first }
      when Array then answer.first.from_rows(rows)
      else rows.first && answer.from_row(rows.first)
      end
    end

    # @return [String] the method of {Client}: an optional keyword that is nil is not sent
    def method_source
      required, optional = arguments.partition { |argument| !argument.optional }
      <<~RUBY
        def #{name}(#{arguments.map { |argument| parameter(argument) }.join(", ")})
          arguments = { #{required.map { |argument| "#{argument.name}: #{variable(argument)}" }.join(", ")} }
          #{optional.map { |argument| add_unless_nil(argument) }.join("\n  ")}
          invoke(:#{name}, arguments)
        end
      RUBY
    end

    private

    def parse(signature)
      subjects, keywords = signature.split(";", 2)
      list = parse_list(subjects, keyword: false) + parse_list(keywords, keyword: true)
      list.map.with_index { |argument, index| argument.with(bit: 1 << index) }
    end

    def parse_list(list, keyword:)
      list.to_s.split(",").map(&:strip).reject(&:empty?).map do |text|
        argument, type = text.split(" ", 2)
        optional = type.end_with?("?")
        Argument.new(name: argument.to_sym, type: type.delete_suffix("?"), optional: optional,
                     keyword: keyword || optional)
      end
    end

    def parameter(argument)
      return argument.name.to_s unless argument.keyword

      argument.optional ? "#{argument.name}: nil" : "#{argument.name}:"
    end

    def add_unless_nil(argument)
      "arguments[:#{argument.name}] = #{variable(argument)} unless #{variable(argument)}.nil?"
    end

    def variable(argument)
      RESERVED.include?(argument.name) ? "binding.local_variable_get(:#{argument.name})" : argument.name
    end

    # Made once for each set of arguments that this process ever gives.
    def text(given)
      list = arguments.select { |argument| given.anybits?(argument.bit) }.map.with_index(1) do |argument, number|
        "#{argument.name} => $#{number}::#{argument.type}"
      end
      "SELECT * FROM tasker.#{name}(#{list.join(", ")})".freeze
    end

    def refuse_unknown(values)
      raise ArgumentError, "#{name} has no argument #{(values.keys - arguments.map(&:name)).join(", ")}"
    end

    def encode(argument, value)
      Codec.encode(value, argument.type)
    rescue SerializationError => e
      raise SerializationError.new("#{name}, argument #{argument.name}: #{e.message}", hint: e.hint)
    end
  end
end
