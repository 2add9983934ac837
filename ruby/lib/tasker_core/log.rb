# frozen_string_literal: true

require "json"
require "logger"
require "time"

module TaskerCore
  # A message and its fields as one line, `message key=value` or JSON.
  #
  # @api private
  class Log
    LEVELS = %w[debug info warn error fatal].freeze
    FORMATS = %w[text json].freeze

    # @param io [IO]
    # @return [Log]
    def self.open(io, level: "info", format: "text")
      logger = Logger.new(io, level: level)
      if format == "json"
        logger.formatter = ->(_severity, _time, _program, line) { "#{line}\n" }
      else
        logger.formatter = lambda do |severity, time, _program, line|
          "#{time.utc.iso8601(3)} #{severity.ljust(5)} #{line}\n"
        end
      end
      new(logger, format: format)
    end

    # @param logger [Logger]
    def initialize(logger, format: "text")
      @logger = logger
      @format = format
    end

    LEVELS.each do |level|
      severity = Logger.const_get(level.upcase)
      define_method(level) do |message, **fields|
        @logger.add(severity) { line(level, message, fields) }
      end
    end

    private

    def line(level, message, fields)
      fields = fields.compact.transform_values { |value| plain(value) }
      return JSON.generate({ time: Time.now.utc.iso8601(3), level: level, message: message, **fields }) if json?

      [message, *fields.map { |key, value| "#{key}=#{text(value)}" }].join(" ")
    end

    def json? = @format == "json"

    def plain(value)
      case value
      when Numeric, true, false then value
      when Time then value.getutc.iso8601(3)
      else Codec.printable(value.to_s)
      end
    end

    def text(value)
      string = value.to_s
      string.match?(/[\s"=]/) || string.empty? ? string.inspect : string
    end
  end
end
