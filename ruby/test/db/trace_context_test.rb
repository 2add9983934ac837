# frozen_string_literal: true

require "test_helper"

class TraceContextTest < DatabaseTest
  TraceContext = TaskerCore::TraceContext
  HEADER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

  def test_the_trace_of_a_request_reaches_each_attempt
    register(steps: { one: [] })
    id = create(**TraceContext.for_new_task(HEADER, tags: ["vip"]))
    first = claim_one
    context = TraceContext.of(first, first)
    assert_match(/\A00-4bf92f3577b34da6a3ce929d0e0e4736-\h{16}-01\z/, context.traceparent)
    assert_equal context.traceparent, TraceContext.of(first, first).traceparent, "the same attempt, the same span"
    client.fail_step(workflow_step_id: first.workflow_step_id, claim_token: first.claim_token, error: {}, retry_after_seconds: 0)
    second = eventually(60) { claim_one }
    refute_equal context.span_id, TraceContext.of(second, second).span_id
    assert_equal context.trace_id, TraceContext.of(second, second).trace_id
    tags = client.get_task(id).dig("task", "tags")
    assert_equal ["vip", HEADER], [tags.first, TraceContext.parent(tags)]
  end

  def test_what_is_no_traceparent_begins_a_trace_of_its_own
    [nil, "", "rubbish", "ff-#{HEADER[3..]}", "00-#{"0" * 32}-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-#{"0" * 16}-01"].each do |header|
      given = TraceContext.for_new_task(header)
      assert_match(/\A\h{8}-\h{4}-\h{4}-\h{4}-\h{12}\z/, given.fetch(:correlation_id))
      assert_equal [], given.fetch(:tags), header.inspect
    end
    assert_nil TraceContext.parent(nil)
    assert_equal HEADER, TraceContext.parent(TraceContext.for_new_task(HEADER.upcase).fetch(:tags))
  end
end
