# frozen_string_literal: true

module Bench
  module_function

  def clock = Process.clock_gettime(Process::CLOCK_MONOTONIC)

  def seconds
    began = clock
    yield
    clock - began
  end

  def median(values) = percentile(values, 0.5)

  def percentile(values, share)
    sorted = values.sort
    sorted[[(sorted.size * share).ceil - 1, 0].max]
  end

  # Spread of the rounds around their median, in percent of it.
  def spread(values) = (100.0 * (values.max - values.min) / median(values)).round

  # Runs contenders in turn, round by round, so that what else the machine does meets all of them.
  # Each prepares what it wants and returns the seconds it measured.
  # @return [Hash{Symbol => Array<Float>}]
  def in_turn(rounds, contenders)
    times = contenders.transform_values { [] }
    rounds.times { contenders.each { |name, contender| times.fetch(name) << contender.call } }
    times
  end

  # Seconds that several sessions take together, each in a thread of its own.
  # @yield [Server, Integer] a session and its number
  def in_sessions(sessions, &work)
    seconds { sessions.each_with_index.map { |session, i| Thread.new { work.call(session, i) } }.each(&:value) }
  end
end
