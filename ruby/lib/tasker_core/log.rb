# frozen_string_literal: true

require "json"
require "logger"
require "time"

module TaskerCore
  # A message and its fields as one line: text for people (`message key=value`),
  # logfmt or JSON for machines.
  #
  # @api private
  class Log
    LEVELS = %w[debug info warn error fatal].freeze
    FORMATS = %w[text logfmt json].freeze

    # @param io [IO]
    # @return [Log]
    def self.open(io, level: "info", format: "text")
      logger = Logger.new(io, level: level)
      logger.formatter =
        if format == "text"
          ->(severity, time, _program, line) { "#{time.utc.iso8601(3)} #{severity.ljust(5)} #{line}\n" }
        else
          ->(_severity, _time, _program, line) { "#{line}\n" }
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
      return [message, *pairs(fields)].join(" ") if @format == "text"

      head = { time: Time.now.utc.iso8601(3), level: level }
      return JSON.generate({ **head, message: message, **fields }) if @format == "json"

      pairs({ **head, msg: message, **fields }).join(" ")
    end

    def pairs(fields) = fields.map { |key, value| "#{key}=#{text(value)}" }

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
