# frozen_string_literal: true

require "digest"
require "securerandom"

module TaskerCore
  # The trace that a task belongs to, as W3C Trace Context and OpenTelemetry see it.
  #
  # A trace id and a correlation id are the same 128 bits, so the trace is carried by `correlation_id`, which
  # every claim has. The whole `traceparent` that the task was created under is kept as a tag: it names the
  # span that is the parent of the steps. Each attempt has a span of its own, whose id follows from step and
  # attempt, so whoever looks at the database can tell which span was which.
  #
  #   TaskerCore.create_task("order", **TaskerCore::TraceContext.for_new_task(request_headers["traceparent"]))
  #
  #   def process(task, sequence, step)           # in a handler: what to send along
  #     http.get(url, "traceparent" => TaskerCore::TraceContext.of(task, step).traceparent)
  class TraceContext
    TRACEPARENT = /\A(?!ff)\h{2}-(?!0{32})(?<trace>\h{32})-(?!0{16})(?<span>\h{16})-(?<flags>\h{2})(-.*)?\z/
    TAG = "traceparent:"

    # @param traceparent [String, nil] of the request that asks for the task; nil or malformed: a new trace
    # @return [Hash] keywords of {Client#create_task}: correlation_id and tags
    def self.for_new_task(traceparent, tags: [])
      found = TRACEPARENT.match(traceparent.to_s.downcase.strip)
      return { correlation_id: SecureRandom.uuid, tags: tags } unless found

      { correlation_id: uuid(found[:trace]), tags: [*tags, "#{TAG}00-#{found[:trace]}-#{found[:span]}-#{found[:flags]}"] }
    end

    # @param task [Task] or anything else with a correlation_id, such as a {Claim}
    # @param step [Step] or anything else with workflow_step_id and attempt
    # @param sampled [Boolean]
    def self.of(task, step, sampled: true)
      new(trace_id: task.correlation_id.to_s.delete("-"), sampled: sampled,
          span_id: Digest::SHA256.hexdigest("#{step.workflow_step_id}/#{step.attempt}")[0, 16])
    end

    # @param tags [Array<String>, nil] of the task
    # @return [String, nil] the traceparent that the task was created under
    def self.parent(tags) = tags.to_a.find { |tag| tag.start_with?(TAG) }&.delete_prefix(TAG)

    def self.uuid(trace) = trace.unpack("a8a4a4a4a12").join("-")
    private_class_method :uuid

    # @return [String] 32 and 16 hexadecimal digits
    attr_reader :trace_id, :span_id

    def initialize(trace_id:, span_id:, sampled:)
      @trace_id = trace_id
      @span_id = span_id
      @sampled = sampled
      freeze
    end

    # @return [String] the header
    def traceparent = "00-#{trace_id}-#{span_id}-#{@sampled ? "01" : "00"}"
  end
end
