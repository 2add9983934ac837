# frozen_string_literal: true

require "test_helper"
require "tasker_core/test_helpers"

# Sub-workflows from templates to results, with a real database.
class SubWorkflowDatabaseTest < DatabaseTest
  include TaskerCore::TestHelpers

  SubWorkflow = TaskerCore::SubWorkflow

  def setup
    super
    TaskerCore.connection = connection if URL
  end

  def teardown
    TaskerCore.connection = nil
    super
  end

  # order: pay, ship (as shipping: pick, then pack (as packing: box) and label), mail
  def prepare(pack: ->(task, *) { "box of #{task.context["order"]}" })
    register_templates({ name: "packing", namespace: namespace, steps: [{ name: "box" }] }, handlers: { box: pack })
    register_templates({ name: "shipping", namespace: namespace, steps: [
                         { name: "pick" }, SubWorkflow.step("pack", "packing", depends_on: ["pick"]), { name: "label", depends_on: ["pick"] }
                       ] }, handlers: { pick: ->(*) { "picked" }, label: ->(task, *) { "for #{task.context["customer"]}" } })
    register_templates(order, handlers: { pay: ->(*) { { "by" => "Ada" } }, mail: ->(_, sequence, _) { mail(sequence.workflow("ship")) } })
  end

  def order
    context = { order: SubWorkflow.path("context.id"), customer: SubWorkflow.path("results", "pay", "by"), gift: false }
    { name: "order", namespace: namespace, steps: [
      { name: "pay" }, SubWorkflow.step("ship", "shipping", depends_on: ["pay"], context: context), { name: "mail", depends_on: ["ship"] }
    ] }
  end

  def mail(shipped) = { "task" => shipped.task_id, "label" => shipped.results_of("label"), "box" => shipped.results_of("pack").dig("results", "box") }

  def create(**options) = TaskerCore.create_task("order", namespace: namespace, context: { id: 5 }, **options).task_id

  def test_a_family_from_beginning_to_end
    prepare
    task_id = create
    steps = drain_tasks(task_id: task_id)
    assert_equal %w[pay pick label box mail].sort, steps.map(&:step_name).sort
    assert_task_complete task_id
    child = SubWorkflow.child(task_id, :ship)
    assert_equal({ "task" => child, "label" => "for Ada", "box" => "box of 5" }, steps.last.results)
    assert_equal({ "order" => 5, "customer" => "Ada", "gift" => false }, client.get_task(child).dig("task", "context"))
    grandchild = SubWorkflow.child(task_id, "ship", "pack")
    assert_equal [grandchild], SubWorkflow.children(child).map(&:task_id)
    assert_equal [[child, (task_id * 1_000_000) + 2, "#{namespace}/shipping", "complete"]],
                 SubWorkflow.children(task_id).map { |task| [task.task_id, task.parent_step_id, task.full_task_name, task.state] }
    parent = SubWorkflow.parent(grandchild)
    assert_equal [child, (child * 1_000_000) + 2, "pack"], [parent.task_id, parent.workflow_step_id, parent.step_name]
    assert_equal task_id, SubWorkflow.parent(parent.task_id).task_id
    assert_nil SubWorkflow.parent(task_id)
    [task_id, child, grandchild].each { |id| assert_empty client.verify_task(id) }
  end

  def test_before_anything_runs
    prepare
    task_id = create
    assert_nil SubWorkflow.child(task_id, "ship", "pack")
    assert_empty SubWorkflow.children(task_id)
    error = assert_raises(TaskerCore::StepNotFound) { SubWorkflow.child(task_id, "shipp") }
    assert_match(/task #{task_id} has no step shipp/, error.message)
    assert_raises(TaskerCore::TaskNotFound) { SubWorkflow.child(9_000_000_000_000, "ship") }
    assert_raises(TaskerCore::TaskNotFound) { SubWorkflow.parent(9_000_000_000_000) }
  end

  def test_what_fails_below_is_raised_and_the_newest_child_counts
    prepare(pack: ->(*) { raise TaskerCore::PermanentError, "no box" })
    task_id = create
    error = assert_raises(TaskerCore::PermanentError) { drain_tasks(task_id: task_id) }
    assert_equal "no box", error.message
    drain_tasks(task_id: task_id) # pick and label
    first = SubWorkflow.child(task_id, "ship")
    assert_equal %w[error error], [task_state(task_id), task_state(first)]
    client.cancel_task(first)
    client.retry_task(task_id)
    second = SubWorkflow.child(task_id, "ship")
    assert_operator second, :>, first
    assert_equal [second, first], SubWorkflow.children(task_id).map(&:task_id)
    assert_equal "label", execute_steps_up_to(second, "label").step_name
    assert_equal [second], client.list_tasks(filters: { parent_task_id: task_id, state: "in_progress" }).map(&:task_id)
    assert_equal [second], client.list_tasks(filters: { parent_task_id: task_id.to_s }, max_tasks: 1).map(&:task_id)
    assert_equal [first], client.list_tasks(filters: { parent_task_id: task_id }, before_task_id: second).map(&:task_id)
    assert_equal ["packing"], client.list_tasks(filters: { parent_task_id: first }).map(&:task_name)
  end

  def test_a_task_handler_runs_those_below_it
    prepare
    handler = workflow_registry.fetch("#{namespace}/order")
    result = handler.handle(create, registry: workflow_registry)
    assert_predicate result, :complete?
    assert_equal %w[pay pick label box mail].sort, result.steps.map(&:step_name).sort
    alone = handler.handle(task_id = create, registry: TaskerCore::Registry.new)
    assert_equal ["in_progress", ["pay"]], [alone.status, alone.steps.map(&:step_name)]
    assert_equal "in_progress", step_states(task_id)["ship"]
  end

  def test_ahead_of_time
    register_templates({ name: "later", namespace: namespace, steps: [{ name: "one" }] }, handlers: { one: ->(*) { 1 } })
    register_templates({ name: "order", namespace: namespace, steps: [SubWorkflow.step("run", "later", delay_seconds: 3600)] })
    task_id = create
    assert_empty drain_tasks(task_id: task_id)
    assert_equal ["one"], drain_tasks(task_id: task_id, ahead: true).map(&:step_name)
    assert_task_complete task_id
  end

  def test_the_command_line
    prepare
    task_id = create
    drain_tasks(task_id: task_id)
    out = StringIO.new
    assert_equal 0, TaskerCore::CLI.run(["task", "list", "--parent", task_id.to_s, "--json", "--url", URL], out: out, err: out)
    assert_equal [["shipping", (task_id * 1_000_000) + 2]], JSON.parse(out.string).map { |row| row.values_at("task_name", "parent_step_id") }
  end
end
