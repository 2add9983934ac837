# frozen_string_literal: true

require "test_helper"

# How templates name sub-workflows, and what handlers have of them.
class SubWorkflowTest < UnitTest
  SubWorkflow = TaskerCore::SubWorkflow

  def test_a_step_that_runs_as_a_task
    assert_equal({ name: "ship", workflow: { name: "shipping" } }, SubWorkflow.step(:ship, :shipping))
    step = SubWorkflow.step("ship", "shipping", namespace: "warehouse", version: "1.2.0", depends_on: ["pay"], on_failure: "continue",
                                                context: { order: SubWorkflow.path("context.id"), express: true })
    assert_equal({ name: "ship", depends_on: ["pay"], on_failure: "continue",
                   workflow: { name: "shipping", namespace: "warehouse", version: "1.2.0",
                               context: { order: { path: "context.id" }, express: true } } }, step)
    assert_equal({ name: "a", workflow: { name: "b", context: false } }, SubWorkflow.step("a", "b", context: false))
  end

  def test_paths
    assert_equal({ path: "results.pay.sum" }, SubWorkflow.path("results.pay.sum"))
    assert_equal({ path: ["results", "my.step", "lines", 0] }, SubWorkflow.path(:results, "my.step", "lines", 0))
    assert_raises(ArgumentError) { SubWorkflow.path }
  end

  def template(*steps) = TaskerCore::Template.new({ name: "order", namespace: "shop", steps: steps })

  def test_a_template_knows_what_it_starts_and_builds_no_handlers_for_it
    order = template({ name: "pay" }, SubWorkflow.step("ship", "shipping", namespace: "warehouse"), SubWorkflow.step("mail", "mailing"),
                     SubWorkflow.step("again", "mailing"))
    assert_equal ["warehouse/shipping", "shop/mailing"], order.workflows
    assert_empty template({ name: "pay" }).workflows
    handler = TaskerCore::TaskHandler::Base.new(config: order, handlers: { pay: ->(*) { 1 } })
    assert_equal ["pay"], handler.step_handlers.keys
    assert_raises(TaskerCore::HandlerNotFound) { TaskerCore::TaskHandler::Base.new(config: order, handlers: { pay: ->(*) { 1 }, ship: ->(*) { 2 } }) }
  end

  def test_yaml_says_the_same
    yaml = TaskerCore::Template.load(<<~YAML).first
      name: order
      namespace: shop
      steps:
        - name: ship
          workflow: {name: shipping, context: {order: {path: context.id}}}
    YAML
    ruby = template(SubWorkflow.step("ship", "shipping", context: { order: SubWorkflow.path("context.id") }))
    assert_equal ruby.definition, yaml.definition
  end

  def test_what_came_of_it
    sequence = TaskerCore::StepSequence.new({ "ship" => { "task_id" => 7, "results" => { "pack" => nil, "label" => { "no" => 3 } } },
                                              "skipped" => nil, "plain" => { "task_id" => "7", "results" => {} } })
    shipped = sequence.workflow(:ship)
    assert_equal [7, %w[pack label], { "no" => 3 }, nil], [shipped.task_id, shipped.steps, shipped.results_of(:label), shipped.results_of("pack")]
    assert_predicate shipped, :frozen?
    error = assert_raises(KeyError) { shipped.results_of("pick") }
    assert_match(/step pick does not end the sub-workflow; those that do: pack, label/, error.message)
    assert_nil sequence.workflow("skipped")
    error = assert_raises(TaskerCore::PermanentError) { sequence.workflow("plain") }
    assert_equal ["the result of plain is no sub-workflow's", "NO_WORKFLOW"], [error.message, error.error_code]
    assert_raises(KeyError) { sequence.workflow("unknown") }
  end

  def test_a_child_needs_the_name_of_a_step
    assert_raises(ArgumentError) { SubWorkflow.child(1, client: nil) }
  end
end
