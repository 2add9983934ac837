# frozen_string_literal: true

module ModelTest
  # The one time at which an operation happened. The test moves the clock in coarse steps, so how
  # two instants compare is known beforehand: by where the test clock stood, then by which came
  # first. What the clock of the server really said is learnt where an answer first shows it, and
  # from then on every other answer has to agree with it to the microsecond.
  class Instant
    TOLERANCE = 5_000_000       # microseconds between the server's clock and ours

    attr_reader :offset, :order

    def initialize(offset, order, expected)
      @offset = offset
      @order = order
      @expected = expected
      @microseconds = nil
    end

    # @param microseconds [Integer] what an answer says this instant was, since 1970
    def agrees?(microseconds)
      @microseconds ||= microseconds if (microseconds - @expected).abs <= TOLERANCE
      @microseconds == microseconds
    end

    # Between which it is, as far as is known.
    def earliest = @microseconds || @expected - TOLERANCE
    def latest = @microseconds || @expected + TOLERANCE
  end

  # Some seconds after an instant.
  class Moment
    include Comparable

    attr_reader :instant, :seconds

    def initialize(instant, seconds = 0)
      @instant = instant
      @seconds = seconds.to_r
    end

    def +(other) = Moment.new(instant, seconds + other.to_r)

    def <=>(other) = place <=> other.place

    def earliest = instant.earliest + (seconds * 1_000_000).to_i
    def latest = instant.latest + (seconds * 1_000_000).to_i

    def agrees?(microseconds) = !microseconds.nil? && instant.agrees?(microseconds - (seconds * 1_000_000).to_i)

    def inspect = format("clock %s%+g s", instant.offset, seconds)

    protected

    def place = [instant.offset + seconds, instant.order]
  end
end
