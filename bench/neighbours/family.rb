# frozen_string_literal: true

require_relative "driver"

module Bench
  module Neighbours
    # The systems that this one descends from keep steps in their own processes; what they leave to
    # the database is the question which steps are ready. So they are asked that.
    class Family < Driver
      def shapes = []

      private

      def made_at = "now(), now()"

      # Rows of the DAG: each edge as positions of parent and child.
      def edges(steps)
        position = steps.each_with_index.to_h { |(name, _), i| [name, i] }
        steps.flat_map { |name, parents| parents.map { |parent| [position.fetch(parent), position.fetch(name)] } }
      end
    end

    # The Rust orchestrator's SQL functions.
    class TaskerCore < Family
      def initialize(url)
        super
        server.exec("SET search_path = tasker, public")
      end

      def readiness(layers)
        steps = Driver.steps(layers)
        task = insert_task
        ids = steps.map { |name, _| insert_step(task, name) }
        edges(steps).each { |parent, child| insert_edge(ids[parent], ids[child]) }
        "SELECT FROM tasker.get_step_readiness_status('#{task}')"
      end

      private

      def insert_task
        server.value(<<~SQL)
          WITH namespace AS (INSERT INTO task_namespaces (name, created_at, updated_at)
                             VALUES ('bench_' || clock_timestamp(), #{made_at}) RETURNING task_namespace_uuid),
          template AS (INSERT INTO named_tasks (task_namespace_uuid, name, created_at, updated_at)
                       SELECT task_namespace_uuid, 'bench', #{made_at} FROM namespace RETURNING named_task_uuid)
          INSERT INTO tasks (named_task_uuid, requested_at, identity_hash, created_at, updated_at, correlation_id)
          SELECT named_task_uuid, now(), gen_random_uuid(), #{made_at}, gen_random_uuid() FROM template RETURNING task_uuid
        SQL
      end

      def insert_step(task, name)
        server.value(<<~SQL, task, "#{task} #{name}")
          WITH template AS (INSERT INTO named_steps (name, created_at, updated_at) VALUES ($2, #{made_at}) RETURNING named_step_uuid),
          step AS (INSERT INTO workflow_steps (task_uuid, named_step_uuid, created_at, updated_at)
                   SELECT $1, named_step_uuid, #{made_at} FROM template RETURNING workflow_step_uuid)
          INSERT INTO workflow_step_transitions (workflow_step_uuid, to_state, sort_key, most_recent, created_at, updated_at)
          SELECT workflow_step_uuid, 'pending', 1, true, #{made_at} FROM step RETURNING workflow_step_uuid
        SQL
      end

      def insert_edge(parent, child)
        call("INSERT INTO workflow_step_edges (from_step_uuid, to_step_uuid, name, created_at, updated_at) " \
             "VALUES ($1, $2, 'provides', #{made_at})", parent, child)
      end
    end

    # The Rails engine's SQL functions.
    class TaskerEngine < Family
      def readiness(layers)
        steps = Driver.steps(layers)
        task = insert_task
        ids = steps.map { |name, _| insert_step(task, name) }
        edges(steps).each { |parent, child| insert_edge(ids[parent], ids[child]) }
        "SELECT FROM get_step_readiness_status(#{task})"
      end

      private

      def insert_task
        server.value(<<~SQL)
          WITH namespace AS (INSERT INTO tasker_task_namespaces (name, created_at, updated_at)
                             VALUES ('bench_' || clock_timestamp(), #{made_at}) RETURNING task_namespace_id),
          template AS (INSERT INTO tasker_named_tasks (task_namespace_id, name, created_at, updated_at)
                       SELECT task_namespace_id, 'bench', #{made_at} FROM namespace RETURNING named_task_id)
          INSERT INTO tasker_tasks (named_task_id, requested_at, identity_hash, created_at, updated_at)
          SELECT named_task_id, now(), gen_random_uuid(), #{made_at} FROM template RETURNING task_id
        SQL
      end

      def insert_step(task, name)
        server.value(<<~SQL, task, "#{task} #{name}")
          WITH system AS (INSERT INTO tasker_dependent_systems (name, created_at, updated_at)
                          VALUES (left('bench ' || $2, 64), #{made_at}) RETURNING dependent_system_id),
          template AS (INSERT INTO tasker_named_steps (dependent_system_id, name, created_at, updated_at)
                       SELECT dependent_system_id, $2, #{made_at} FROM system RETURNING named_step_id),
          step AS (INSERT INTO tasker_workflow_steps (task_id, named_step_id, attempts, created_at, updated_at)
                   SELECT $1, named_step_id, 0, #{made_at} FROM template RETURNING workflow_step_id)
          INSERT INTO tasker_workflow_step_transitions (workflow_step_id, to_state, sort_key, most_recent, created_at, updated_at)
          SELECT workflow_step_id, 'pending', 1, true, #{made_at} FROM step RETURNING workflow_step_id
        SQL
      end

      def insert_edge(parent, child)
        call("INSERT INTO tasker_workflow_step_edges (from_step_id, to_step_id, name, created_at, updated_at) " \
             "VALUES ($1, $2, 'provides', #{made_at})", parent, child)
      end
    end
  end
end
