# frozen_string_literal: true

# Runs a worker on threads of this process, with lambdas for handlers.
class WorkerTest < DatabaseTest
  def setup
    super
    @registry = TaskerCore::Registry.new
    @out = StringIO.new
    @workers = []
  end

  def teardown
    @workers&.each { |worker, thread| worker.halt && thread.join(60) }
    super
  end

  # @param steps [Hash{Symbol => Array(Object, #call)}] parents and behaviour by step
  def serve(name: "linear", max_attempts: 3, **steps)
    parents = steps.transform_values { |behaviour| behaviour.is_a?(Array) ? behaviour.first : [] }
    handlers = steps.to_h do |step, behaviour|
      block = behaviour.is_a?(Array) ? behaviour.last : behaviour
      [step.to_s, TestSupport::Lambda.new(&block)]
    end
    template = definition(name: name, namespace: namespace, steps: parents)
    template["steps"].each { |step| step["retry"]["max_attempts"] = max_attempts }
    @registry.register(template, handlers: handlers)
    client.register_task_template(template)
  end

  # @return [TaskerCore::Worker] running
  def start(**options)
    worker = TaskerCore::Worker.new(connection: APPLICATION_URL, registry: @registry, log: TaskerCore::Log.open(@out),
                                    **{ concurrency: 2, poll_interval: 0.2, lease: 5 }.merge(options))
    thread = Thread.new { worker.run }
    thread.report_on_exception = false
    @workers << [worker, thread]
    worker
  end

  # @return [Integer] the exit status
  def finish(worker) = @workers.assoc(worker).last.value

  # Runs a worker until the task is over.
  # @return [String] the task's state
  def run_task(task_id, **options)
    start(**options) if @workers.empty?
    await_end(task_id)
  end

  def await_end(task_id, seconds = 90)
    eventually(seconds, "task #{task_id} is not over:\n#{step_states(task_id)}\n#{@out.string}") do
      %w[complete error cancelled].include?(task_state(task_id))
    end
    task_state(task_id)
  end

  def assert_consistent(task_id) = assert_empty(client.verify_task(task_id))
end
