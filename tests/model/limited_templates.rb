# frozen_string_literal: true

require_relative "limits"

module ModelTest
  # Templates whose steps have concurrency and rate limits, and tasks whose contexts lead to few keys.
  module LimitedTemplates
    # No step of the test clock ends between a period and a sixtieth more, and the nearest ones are close to both: of
    # three ticks and of six.
    PERIODS = [1815, 1770, 3630, 3540].freeze
    CUSTOMERS = ["a", "a", "a", "b", "b", 1, 1.0, "1", true, { "b" => [1, "x"], "a" => nil }, nil].freeze

    def limited_template(namespace, name, version)
      template = template(namespace, name, version, size: 1 + @random.rand(5), plain: @random.rand < 0.5)
      taken = template.steps.reject(&:signal)
      taken = template.steps.first(1).each { |step| step.signal = nil } if taken.empty?
      template.limit = some_limit([]) if @random.rand < 0.4
      taken.each { |step| step.limit = some_limit(step.parents) if @random.rand < (template.limit ? 0.3 : 0.8) }
      template.limit = nil if taken.all?(&:limit)
      taken.first.limit = some_limit([]) unless template.limited?
      template
    end

    # A later version: the same steps under other limits.
    def limited_anew(template, version)
      steps = template.steps.map { |step| step.dup.tap { |copy| copy.limit &&= some_limit(step.parents) } }
      Template.new(**template.to_h, version: version, steps: steps, limit: template.limit && some_limit([]))
    end

    # @return [Hash] of a context
    def customer = @random.rand < 0.1 ? {} : { "customer" => pick(CUSTOMERS) }

    private

    def some_limit(parents)
      kind = pick(%i[both concurrency concurrency concurrency rate])
      limit = Limit.new(key: pick([nil, "context.customer", "context.customer", *parents.first(2)]), spelt_out: @random.rand < 0.5)
      limit.concurrency = pick([1, 1, 2, 3]) unless kind == :rate
      limit.rate, limit.period = 1 + @random.rand(4), pick(PERIODS) unless kind == :concurrency
      limit
    end

    def limit_document(limit)
      return {} if limit.nil?

      key = limit.key && (limit.key == "context.customer" ? %w[context customer] : ["results", limit.key])
      key = key.join(".") if key && !limit.spelt_out
      {
        "concurrency" => ({ "key" => key, "limit" => limit.concurrency }.compact if limit.concurrency),
        "rate_limit" => ({ "key" => key, "limit" => limit.rate, "period_seconds" => limit.period }.compact if limit.rate)
      }.compact
    end
  end
end
