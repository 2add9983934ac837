# frozen_string_literal: true

require "test_helper"
require "support/pools"
require "support/rails_application"

# One application from installation to a finished task. It is one test because
# each part builds on the one before, and starting Rails takes seconds.
class RailsTest < DatabaseTest
  def setup
    super
    skip "Rails is not installed" unless Pools.load("rails", "active_record", "active_job")
    @app = RailsApplication.new(Pools.parameters)
  end

  def teardown
    @app&.close
    super
  end

  def limit = 600

  def value(sql) = @app.on_database { |pg| pg.exec(sql).getvalue(0, 0) }

  def test_an_application
    install
    generate_a_workflow
    create_in_the_models_transaction
    work_off
    check_and_register
    reverse_the_migration
  end

  private

  def install
    @app.rails("generate", "tasker_core:install")
    %w[config/initializers/tasker_core.rb bin/tasker config/tasker/.keep].each do |file|
      assert_path_exists File.join(@app.root, file)
    end
    @app.write("db/migrate/20200101000000_create_orders.rb", <<~RUBY)
      class CreateOrders < ActiveRecord::Migration[6.1]
        def change = create_table(:orders) { |t| t.string :state }
      end
    RUBY
    @app.rails("db:migrate")
    assert_equal "1.0", value("SELECT extversion FROM pg_extension WHERE extname = 'tasker_core'")
    assert_equal "0", value("SELECT count(*) FROM tasker_event_cursors")
    schema = @app.read("db/schema.rb")
    assert_match(/enable_extension "tasker_core"/, schema)
    refute_match(/create_table "(tasker\.|tasks|step_queue)/, schema)
    @app.rails("db:schema:load", env: "test")
    @app.on_database(@app.databases.last) do |pg|
      assert_equal "0", pg.exec("SELECT count(*) FROM tasker.tasks, tasker_event_cursors").getvalue(0, 0)
    end
  end

  def generate_a_workflow
    @app.rails("generate", "tasker_core:task_handler", "fulfillment/process_order", "reserve", "ship:reserve")
    @app.write("app/models/order.rb", <<~RUBY)
      class Order < ApplicationRecord
        def self.place!(fail: false)
          transaction do
            order = create!(state: "new")
            task = TaskerCore.create_task("process_order", namespace: "fulfillment", context: { order: order.id })
            raise ActiveRecord::Rollback if fail
            task.task_id
          end
        end
      end
    RUBY
    assert_match(/callable: "Fulfillment::ProcessOrder::Ship"/, @app.read("config/tasker/fulfillment/process_order.yml"))
    assert_match(/depends_on: \[reserve\]/, @app.read("config/tasker/fulfillment/process_order.yml"))
    @app.write("app/workflows/fulfillment/process_order/reserve.rb", <<~RUBY)
      class Fulfillment::ProcessOrder::Reserve < TaskerCore::StepHandler::Base
        def process(task, sequence, step)
          step.transaction do
            Order.find(task.context["order"]).update!(state: "reserved")
            { "from" => "a model" }
          end
        end
      end
    RUBY
    @app.write("app/jobs/mark_job.rb", <<~RUBY)
      class MarkJob < ActiveJob::Base
        def perform(order, state, fail: false)
          raise "never" if fail
          Order.find(order).update!(state: state)
        end
      end
    RUBY
  end

  # What docs/guides/rails.md shows.
  def guide = File.read(File.expand_path("../../../docs/guides/rails.md", __dir__))[/^```rb\n(Order\.transaction do\n.*?)^```$/m, 1]

  def create_in_the_models_transaction
    output = @app.runner(<<~RUBY)
      TaskerCore.registry.to_a.each { |handler| handler.register! }
      params = { state: "new" }
      Order.transaction do
        #{guide}
        puts "by the guide: \#{Order.count} orders, \#{TaskerCore.client.list_tasks(filters: { namespace: "fulfillment" }).size} tasks"
        raise ActiveRecord::Rollback
      end
      Order.place!(fail: true)
      puts "after rollback: \#{Order.count} orders, \#{TaskerCore.client.list_tasks(filters: { namespace: "fulfillment" }).size} tasks"
      Order.place!
      puts "after commit: \#{Order.count} orders, \#{TaskerCore.client.list_tasks(filters: { namespace: "fulfillment" }).size} tasks"
      begin
        Order.transaction { MarkJob.perform_later(Order.first.id, "lost"); raise "no" }
      rescue RuntimeError
      end
      job = MarkJob.set(priority: 5).perform_later(Order.first.id, "marked")
      MarkJob.set(wait: 1.hour).perform_later(Order.first.id, "later")
      MarkJob.perform_later(Order.first.id, "x", fail: true)
      puts "job \#{job.provider_job_id.class}, \#{TaskerCore.client.list_tasks(filters: { namespace: "active_job" }).size} jobs"
    RUBY
    assert_match(/by the guide: 1 orders, 1 tasks/, output)
    assert_match(/after rollback: 0 orders, 0 tasks/, output)
    assert_match(/after commit: 1 orders, 1 tasks/, output)
    assert_match(/job Integer, 3 jobs/, output)
  end

  def work_off
    worker = @app.ruby("bin/tasker", "worker", "-c", "1", "-i", "0.2", "--max-steps", "4")
    states = @app.on_database do |pg|
      pg.exec("SELECT n.name AS namespace, t.state::text AS state, count(*) FROM tasker.tasks t " \
              "JOIN tasker.named_tasks nt USING (named_task_id) JOIN tasker.task_namespaces n USING (namespace_id) " \
              "GROUP BY 1, 2 ORDER BY 1, 2").values
    end
    assert_equal [%w[active_job complete 1], %w[active_job error 1], %w[active_job pending 1],
                  %w[fulfillment complete 1]], states, worker
    assert_includes %w[reserved marked], value("SELECT state FROM orders")
    assert_equal "RuntimeError", value("SELECT last_error->>'error_code' FROM tasker.workflow_steps WHERE state = 'error'")
  end

  def check_and_register
    output = @app.rails("tasker_core:check", "tasker_core:register")
    assert_match(%r{fulfillment/process_order 1.0.0: 2 handlers}, output)
    assert_match(%r{fulfillment/process_order 1.0.0: unchanged}, output)
  end

  def reverse_the_migration
    version = Dir.children(File.join(@app.root, "db/migrate")).grep(/install_tasker_core/).first[/\A\d+/]
    error = assert_raises(RuntimeError) { @app.rails("db:migrate:down", "VERSION=#{version}") }
    assert_match(/IrreversibleMigration/, error.message)
  end
end
