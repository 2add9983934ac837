# frozen_string_literal: true

$VERBOSE = true

ENV["MT_NO_PLUGINS"] = "1" # of other gems, Rails for one, which change what is printed
require "minitest/autorun"
require "securerandom"
require "stringio"
require "timeout"

# What Ruby warns about in this gem's files is an error.
module WarningsAsErrors
  ROOT = File.expand_path("..", __dir__)

  def warn(message, **)
    raise "Ruby warning: #{message}" if message.start_with?(ROOT)

    super
  end
end
Warning.singleton_class.prepend(WarningsAsErrors)

require "tasker_core"
require "tasker_core/cli"

module TestSupport
  class TestTimeout < StandardError; end
  LIMIT = 240

  # A test that hangs fails instead, and tells where every thread was.
  def run
    Timeout.timeout(limit, TestTimeout) { super }
  end

  # @return [Numeric] seconds
  def limit = LIMIT

  # Waits for the block to be true; the state is polled, never slept for.
  def eventually(seconds = 90, message = nil)
    deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + seconds
    until (result = yield)
      flunk(message || "not within #{seconds} s") if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
      sleep(0.02)
    end
    result
  end

  def monotonic = Process.clock_gettime(Process::CLOCK_MONOTONIC)

  # @return [TaskerCore::Log] that forgets
  def quiet = TaskerCore::Log.open(StringIO.new)

  # @return [Hash] a template with the given steps: names, or name => parents
  def definition(name: "linear", namespace: "test", version: "1.0.0", steps: {}, handler: "TestSupport::Echo", **more)
    {
      "name" => name, "namespace" => namespace, "version" => version,
      "steps" => steps.map do |step, parents|
        { "name" => step.to_s, "depends_on" => Array(parents).map(&:to_s), "handler" => { "callable" => handler },
          "retry" => { "backoff_base_ms" => 20, "jitter" => 0 } }
      end
    }.merge(more.transform_keys(&:to_s))
  end

  # A claim as the extension would hand it out.
  def claim(**changes)
    TaskerCore::Claim.new(
      workflow_step_id: 42_000_001, task_id: 42, claim_token: 7, attempt: 1, max_attempts: 3, namespace: "test",
      task_name: "linear", task_version: "1.0.0", step_name: "one", handler_class: "TestSupport::Echo",
      handler_config: {}, task_context: {}, dependency_results: {}, inputs: nil, checkpoint: nil, priority: 0,
      correlation_id: nil, timeout_seconds: nil, lease_expires_at: Time.now + 60, handler_method: nil,
      handler_resolver: nil, queue: "default", **changes
    )
  end

  # Returns what it was given.
  class Echo < TaskerCore::StepHandler::Base
    def process(task, sequence, step)
      { "context" => task.context, "parents" => sequence.dependencies, "attempt" => step.attempt }
    end
  end

  # Any behaviour, as a handler.
  class Lambda
    def initialize(&block)
      @block = block
    end

    def process(task, sequence, step) = @block.call(task, sequence, step)
  end
end

class UnitTest < Minitest::Test
  include TestSupport
end

# Needs a server. Every test has a namespace of its own; nothing else is shared.
class DatabaseTest < Minitest::Test
  include TestSupport

  URL = ENV["TASKER_TEST_URL"]
  # What an application with workers needs (docs/security.md), and nothing else: the workers of the tests act as it.
  APPLICATION_ROLE = "tasker_ruby_test_application"
  APPLICATION_URL = URL && "#{URL}#{URL.include?("?") ? "&" : "?"}options=-c%20role%3D#{APPLICATION_ROLE}"

  class << self
    # Once a run, so that a server without the extension says so clearly.
    def prepare
      @@prepared ||= begin # rubocop:disable Style/ClassVars -- one for all subclasses
        connection = TaskerCore::Connection.new(URL)
        connection.query("SET client_min_messages = warning")
        connection.query("CREATE EXTENSION IF NOT EXISTS tasker_core")
        prepare_application_role(connection)
        connection.close
        true
      end
    end

    def prepare_application_role(connection)
      found = connection.query("SELECT FROM pg_roles WHERE rolname = $1::text", [APPLICATION_ROLE])
      connection.query("CREATE ROLE #{APPLICATION_ROLE}") if found.empty?
      %w[producer worker].each do |access|
        connection.query("SELECT tasker.grant_access($1::regrole, $2::text)", [APPLICATION_ROLE, access])
      end
    end
  end

  def setup
    skip "TASKER_TEST_URL names no database" unless URL
    DatabaseTest.prepare
    @namespace = "t#{SecureRandom.hex(6)}"
    @connection = TaskerCore::Connection.new(URL)
    @connection.query("SET client_min_messages = warning")
    @client = TaskerCore::Client.new(@connection)
    @opened = [@connection]
  end

  def teardown
    @opened&.each(&:close)
  end

  attr_reader :client, :connection, :namespace

  # @return [TaskerCore::Connection] another session
  def another_connection
    TaskerCore::Connection.new(URL).tap { |connection| @opened << connection }
  end

  def another_client = TaskerCore::Client.new(another_connection)

  def register(name: "linear", steps: { one: [], two: :one }, **more)
    client.register_task_template(definition(name: name, namespace: namespace, steps: steps, **more))
  end

  def create(name: "linear", **options) = client.create_task(name, namespace: namespace, **options).task_id

  def claim_one(worker: "w1", **options)
    client.claim_steps(worker_id: worker, namespaces: [namespace], **options).first
  end

  def complete(claim, results, with: client)
    with.complete_step(workflow_step_id: claim.workflow_step_id, claim_token: claim.claim_token, results: results)
  end

  # @return [Hash{String => String}] states by step name
  def step_states(task_id) = client.get_step_readiness_status(task_id).to_h { |step| [step.name, step.current_state] }

  def task_state(task_id) = client.get_task_execution_context(task_id).status

  # @return results of a step
  def results_of(task_id, name)
    row = connection.query("SELECT results FROM tasker.workflow_steps WHERE task_id = $1::bigint AND name = $2::text",
                           [task_id.to_s, name.to_s]).first
    row.fetch(:results)
  end

  # @return [Hash] what fail_step was told last
  def error_of(task_id, name)
    connection.query("SELECT last_error FROM tasker.workflow_steps WHERE task_id = $1::bigint AND name = $2::text",
                     [task_id.to_s, name.to_s]).first.fetch(:last_error)
  end

  # Ends a session, and waits for its end: what it has to say is on its way then.
  def terminate(pid)
    observer = another_connection
    observer.query("SELECT pg_terminate_backend($1::int)", [pid.to_s])
    eventually { observer.query("SELECT 1 AS one FROM pg_stat_activity WHERE pid = $1::int", [pid.to_s]).empty? }
  end

  # A table for handlers to write into.
  def create_ledger
    connection.query("CREATE TABLE IF NOT EXISTS public.tasker_test_ledger (namespace text, entry text)")
    connection.query("GRANT SELECT, INSERT ON public.tasker_test_ledger TO #{APPLICATION_ROLE}")
  rescue TaskerCore::DatabaseError => e
    raise unless %w[23505 42P07].include?(e.sqlstate) # another run made it at the same time
  end

  def write_ledger(pg, entry)
    pg.exec_params("INSERT INTO public.tasker_test_ledger VALUES ($1, $2)", [namespace, entry])
  end

  def ledger
    connection.query("SELECT entry FROM public.tasker_test_ledger WHERE namespace = $1::text ORDER BY entry",
                     [namespace]).map { |row| row.fetch(:entry) }
  end
end
