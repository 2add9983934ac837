# frozen_string_literal: true

require "json"
require "pg"

module TaskerCore
  # The one place where Ruby values become parameters and results become Ruby values.
  #
  # Nothing here touches the connection: a borrowed one has its owner's type
  # maps, and a bare Hash or Array among the parameters would be taken for the
  # driver's own notation. So every parameter is made a String here, and every
  # result gets its own map.
  #
  # @api private
  module Codec
    # Deeper values are refused; this also ends structures that contain themselves.
    MAX_DEPTH = 1_000

    # json and jsonb to frozen Ruby values with string keys.
    class JSONDecoder < PG::SimpleDecoder
      OPTIONS = { max_nesting: false, create_additions: false, freeze: true }.freeze
      EMPTY = {}.freeze
      private_constant :OPTIONS, :EMPTY

      def decode(text, _tuple = nil, _field = nil) = text == "{}" ? EMPTY : JSON.parse(text, OPTIONS)
    end

    ARRAY = PG::TextEncoder::Array.new(name: "array").freeze
    private_constant :ARRAY

    # Parameters are Strings or nil already; the connection's own map must not see them.
    PARAMETERS = PG::TypeMapAllStrings.new.freeze

    # The built-in types of the extension's surface by their fixed OIDs, so no
    # query of pg_type is needed. Everything else stays a String.
    RESULTS = PG::TypeMapByOid.new.tap do |map|
      scalars = {
        16 => PG::TextDecoder::Boolean,
        20 => PG::TextDecoder::Integer,
        21 => PG::TextDecoder::Integer,
        23 => PG::TextDecoder::Integer,
        25 => PG::TextDecoder::String,
        114 => JSONDecoder,
        701 => PG::TextDecoder::Float,
        1184 => PG::TextDecoder::TimestampWithTimeZone,
        1700 => PG::TextDecoder::Float, # percentages and averages
        2950 => PG::TextDecoder::String,
        3802 => JSONDecoder,
        5069 => PG::TextDecoder::Integer # xid8
      }
      scalars.each { |oid, decoder| map.add_coder(decoder.new(oid: oid)) }
      { 1000 => 16, 1007 => 23, 1009 => 25, 1016 => 20, 2951 => 2950, 3807 => 3802 }.each do |oid, element|
        map.add_coder(PG::TextDecoder::Array.new(oid: oid, elements_type: scalars.fetch(element).new))
      end
    end.freeze

    module_function

    # @param value the Ruby value; nil is SQL NULL, but JSON null where the type is jsonb
    # @param type [String] the SQL type of the argument
    # @return [String, nil] its text form
    # @raise [SerializationError] naming what cannot be stored
    def encode(value, type)
      return json(value) if type == "jsonb"
      return if value.nil?
      return array(value, type.delete_suffix("[]")) if type.end_with?("[]")

      text(value, type)
    end

    # @return [Array<Hash{Symbol => Object}>] the rows, decoded
    def decode(result)
      result.type_map = RESULTS
      result.field_names_as(:symbol).to_a
    end

    def json(value)
      JSON.generate(value, max_nesting: MAX_DEPTH)
    rescue JSON::JSONError, EncodingError => e
      raise SerializationError.new("no JSON for this value: #{e.message[0, 200].scrub("?")}",
                                   hint: "Return only strings in UTF-8, finite numbers, true, false, nil, " \
                                         "arrays and hashes.")
    end

    def array(value, element_type)
      ARRAY.encode((value.is_a?(Array) ? value : [value]).map { |element| encode(element, element_type) })
    end

    def text(value, type)
      string =
        case value
        when String then value
        when Symbol, Numeric, true, false then value.to_s
        else
          raise SerializationError, "#{value.class} has no #{type} form" unless value.respond_to?(:strftime)

          value.strftime("%FT%T.%6N%:z")
        end
      raise SerializationError, "text with a null byte cannot be stored" if string.include?("\0")

      string
    end

    # Any bytes as valid UTF-8 that the database and a log can take.
    def printable(string)
      return string if string.encoding == Encoding::UTF_8 && string.valid_encoding? && !string.include?("\0")

      string = string.dup.force_encoding(Encoding::UTF_8) if string.encoding == Encoding::BINARY
      string.encode(Encoding::UTF_8, invalid: :replace, undef: :replace).delete("\0")
    rescue EncodingError
      string.b.encode(Encoding::UTF_8, invalid: :replace, undef: :replace).delete("\0")
    end
    private_class_method :json, :array, :text
  end
end
