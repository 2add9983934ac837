# frozen_string_literal: true

require_relative "jsonb"

module ModelTest
  # How many steps run at once (concurrency), how often they start (rate, in period seconds); key: what tells them
  # apart, "context.customer" or the name of a parent, nil for nothing.
  Limit = Struct.new(:key, :concurrency, :rate, :period, :spelt_out, keyword_init: true)

  # What the contract says about the limits of one task. A step is put aside by a claim that may not take it, and comes
  # out again when a claim finds room under its key.
  module LimitedTask
    def limit_of(definition) = definition.limit || (template.limit unless definition.signal)

    # @return [Array, nil] what its claims are counted under; nil: nothing limits it
    def flow_key(step)
      limit = limit_of(step.definition) or return
      [template.namespace, template.name, (step.definition.name if step.definition.limit), FlowKey.text(key_value(limit.key))]
    end

    # A claim whose lease ran out loses its attempt by that.
    def put_aside(step, key, now)
      if step.claim
        lose_attempt(step, now)
        step.state = "waiting_for_retry"
        step.claim = nil
        step.asked = nil
        step.not_before = now
      end
      step.aside = key
    end

    # To the end of the line.
    def let_out(step, now)
      step.aside = nil
      step.not_before = now
    end

    private

    # Whoever pauses or resumes a task has claims look at its steps anew.
    def forget_aside = steps.each_value { |step| step.aside = nil }

    def key_value(key)
      case key
      when nil then nil
      when "context.customer" then context.value["customer"]
      else steps.fetch(key).results&.value
      end
    end
  end

  # All steps of a namespace and a template (and of one name there) that lead to the same text, whatever the version:
  # under which limits, who holds a place, and who started when.
  class FlowKey
    LATE = Rational(61, 60)     # starts are counted in sixtieths of the period: no more than one of them too long

    # A scalar is its text, anything else its JSON, nothing is empty.
    def self.text(value)
      case value
      when nil then ""
      when String then value
      when Float then value == value.to_i ? value.to_i.to_s : value.to_s
      else Jsonb.text(value)
      end
    end

    # version: whose limits count; again: when rows came out last; tokens: of the claims that held it after the last claim
    attr_accessor :again, :tokens
    attr_reader :name, :version, :limit

    def initialize(name)
      @name = name
      @starts = []              # moments, under these limits;
      @older = []               # under those before, as far as they counted when these came,
      @carried = []             # which is as if they had begun just then
      @tokens = []
    end

    # The limits are those of this version from now on.
    def adopt(version, limit, now)
      @version = version
      change_rate(limit, now) unless @limit && [@limit.rate, @limit.period] == [limit.rate, limit.period]
      @limit = limit
    end

    # @param version [Template] of the step: where one claim came to a later one too, it may have begun before that.
    def start(version, now) = (version != @version && now == @changed ? @carried : @starts) << now

    # @return [Integer, Float] places, if so many are held
    def places(held, limit = @limit) = limit&.concurrency ? limit.concurrency - held : Float::INFINITY

    # @return [Array] how many more may start at least, and at most: between a period and a sixtieth more it is open
    def starts_left(now, limit = @limit)
      return [Float::INFINITY] * 2 if limit&.rate.nil?

      [limit.rate - (@starts + @carried).count { |start| late?(start, now, limit) },
       limit.rate - (@starts + @older).count { |start| counts?(start, now, limit) }].map { |left| [left, 0].max }
    end

    # @return [Range, nil] microseconds: when the next may start, where it waits for nothing but that
    def next_start(now)
      return if @carried.any? || starts_left(now).last.positive?

      counted = @starts.select { |start| counts?(start, now) }.sort_by(&:earliest)
      first = counted[counted.size - @limit.rate]
      (first.earliest + @limit.period * 1_000_000)..(first.latest + @limit.period * LATE * 1_000_000)
    end

    private

    def change_rate(limit, now)
      counted = @limit&.rate ? [@starts + @older, @starts + @carried] : [[], []]
      @older = counted.first.select { |start| counts?(start, now) }
      @carried = counted.last.select { |start| late?(start, now) }.map { now }
      @starts = []
      @changed = now
    end

    def counts?(start, now, limit = @limit) = now.latest - start.earliest < limit.period * 1_000_000
    def late?(start, now, limit = @limit) = now.earliest - start.latest < limit.period * LATE * 1_000_000
  end
end
