# frozen_string_literal: true

require "json"
require "pg"
require "time"

module ModelTest
  # Any value as JSON; nil in it is JSON null, which is not NULL.
  Json = Struct.new(:value)

  # One connection, speaking plain SQL: parameters in, rows as hashes out.
  class Server
    DECODE = {
      16 => ->(text) { text == "t" }, 20 => :to_i.to_proc, 21 => :to_i.to_proc, 23 => :to_i.to_proc,
      1700 => :to_r.to_proc, 3802 => ->(text) { Json.new(JSON.parse(text)) },
      1184 => ->(text) { microseconds(text) }
    }.freeze

    class << self
      # Who makes which statement; nil: the role of the connection makes all.
      attr_accessor :roles
    end

    ARRAY = PG::TextEncoder::Array.new(elements_type: PG::TextEncoder::String.new)

    # PostgreSQL's ISO format, whatever the time zone.
    def self.microseconds(text)
      time = Time.new(text[0, 4], text[5, 2], text[8, 2], text[11, 2], text[14, 2], 0, offset(text))
      time.to_i * 1_000_000 + (text[/:(\d\d(?:\.\d+)?)[+-]/, 1].to_r * 1_000_000).to_i
    end

    def self.offset(text)
      sign, hours, minutes = text.match(/([+-])(\d\d)(?::(\d\d))?\z/).captures
      format("%s%s:%s", sign, hours, minutes || "00")
    end

    def initialize(url, **settings)
      @pg = PG.connect(url, fallback_application_name: "tasker_core model test")
      @prepared = {}
      @pg.exec("SET client_min_messages = warning")
      settings.each { |name, value| set(name, value) }
    end

    # @return [Array<Hash>] timestamps as microseconds since 1970
    # @raise [PG::Error]
    def rows(sql, parameters = [])
      become(Server.roles&.for(sql))
      result = @pg.exec_prepared(prepared(sql), parameters.map { |value| encode(value) })
      decoders = (0...result.nfields).map { |column| DECODE[result.ftype(column)] }
      names = result.fields.map(&:to_sym)
      result.values.map do |values|
        names.each_with_index.to_h do |name, i|
          [name, values[i].nil? || decoders[i].nil? ? values[i] : decoders[i].call(values[i])]
        end
      end
    end

    def value(sql, parameters = []) = rows(sql, parameters).first&.values&.first

    # By the role of the connection. SET ROLE goes with what is rolled back, and is refused before that.
    def run(sql)
      become(nil) unless sql.match?(/\A(BEGIN|SAVEPOINT|RELEASE|ROLLBACK|COMMIT)/)
      @pg.exec(sql).tap { @role = :unknown if sql.start_with?("ROLLBACK") }
    end

    def set(name, value)
      become(nil)
      @pg.exec_params("SELECT pg_catalog.set_config($1, $2, false)", [name.to_s, value.to_s])
    end

    def close = @pg.close

    private

    def become(role)
      return if role == @role

      @pg.exec(role ? "SET ROLE #{role}" : "RESET ROLE")
      @role = role
    end

    def prepared(sql)
      @prepared[sql] ||= "statement #{@prepared.size}".tap { |name| @pg.prepare(name, sql) }
    end

    def encode(value)
      case value
      when nil then nil
      when Array then ARRAY.encode(value.map { |element| encode(element) })
      when Json then JSON.generate(value.value)
      else value.to_s
      end
    end
  end
end
