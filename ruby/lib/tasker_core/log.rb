# frozen_string_literal: true

require "json"
require "logger"

module TaskerCore
  # A message and its fields as one line: text for people (`message key=value`),
  # logfmt or JSON for machines.
  #
  # @api private
  class Log
    LEVELS = %w[debug info warn error fatal].freeze
    FORMATS = %w[text logfmt json].freeze
    # In UTC.
    TIME = "%FT%T.%LZ"
    SEVERITIES = LEVELS.to_h { |level| [level.upcase, level.upcase.ljust(5)] }.freeze
    private_constant :TIME, :SEVERITIES

    # @param io [IO]
    # @return [Log]
    def self.open(io, level: "info", format: "text")
      logger = Logger.new(io, level: level)
      logger.formatter =
        if format == "text"
          ->(severity, time, _program, line) { "#{stamp(time)} #{SEVERITIES.fetch(severity)} #{line}\n" }
        else
          ->(_severity, _time, _program, line) { "#{line}\n" }
        end
      new(logger, format: format)
    end

    # @return [String]
    def self.stamp(time) = time.getutc.strftime(TIME)

    # @param logger [Logger]
    def initialize(logger, format: "text")
      @logger = logger
      @format = format
    end

    LEVELS.each do |level|
      class_eval(<<~RUBY, __FILE__, __LINE__ + 1)
        def #{level}(message, **fields)
          @logger.add(Logger::#{level.upcase}) { line("#{level}", message, fields) }
        end
      RUBY
    end

    private

    def line(level, message, fields)
      return append(+message, fields) if @format == "text"

      time = Log.stamp(Time.now)
      return append(+"time=#{time} level=#{level}", { msg: message, **fields }) if @format == "logfmt"

      JSON.generate({ time: time, level: level, message: message, **fields.compact.transform_values { |value| plain(value) } })
    end

    # Every step that ends writes a line, so nothing is made that is not in it.
    def append(line, fields)
      fields.each { |key, value| line << " " << key.name << "=" << text(value) unless value.nil? }
      line
    end

    def plain(value)
      case value
      when Numeric, true, false then value
      when Time then Log.stamp(value)
      else Codec.printable(value.to_s)
      end
    end

    def text(value)
      string = plain(value).to_s
      string.match?(/[\s"=]/) || string.empty? ? string.inspect : string
    end
  end
end
