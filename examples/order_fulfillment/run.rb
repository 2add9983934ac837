#!/usr/bin/env ruby
# frozen_string_literal: true

# Runs the example in a database: creates the shop, starts workers, submits the
# orders, kills a worker in the middle, waits for the end and proves the result.
#
#   ruby run.rb --url postgresql:///mydb [--orders N] [--workers N] [--no-kill] [--input FILE]

gem_in_checkout = File.expand_path("../../ruby/lib", __dir__)
$LOAD_PATH.unshift(gem_in_checkout) if File.directory?(gem_in_checkout)

require "io/console"
require "optparse"
require "tasker_core"
require_relative "shop"
require_relative "worker_pool"
require_relative "report"
require_relative "proof"

module OrderFulfillment
  # The run from its beginning to the proof.
  class Run
    PROGRESS = <<~SQL
      SELECT count(*) AS submitted, count(task.finished_at) AS finished,
             count(*) FILTER (WHERE task.state = 'complete') AS complete,
             count(*) FILTER (WHERE task.state = 'error') AS error,
             (SELECT count(*) FROM tasker.step_attempts attempt JOIN shop.orders USING (task_id)
              WHERE attempt.to_state <> 'waiting_for_retry') AS steps
      FROM shop.orders JOIN tasker.tasks task USING (task_id)
    SQL
    # The worker that has most steps in its hands, among them one it cannot finish while stock is locked.
    VICTIM = <<~SQL
      SELECT step.worker_id, split_part(step.worker_id, ':', 2)::int AS pid, count(*) AS steps
      FROM shop.orders JOIN tasker.workflow_steps step USING (task_id)
      WHERE step.state = 'in_progress' AND split_part(step.worker_id, ':', 2)::int = ANY ($1::int[])
      GROUP BY step.worker_id HAVING bool_or(step.name = 'reserve_inventory')
      ORDER BY steps DESC LIMIT 1
    SQL
    INTERVAL = 0.1
    # Without any progress for so long, something is wrong.
    PATIENCE = 60

    def initialize(options, out: $stdout)
      @options = options
      @out = out
      @input = Input.new(options.fetch(:input), options[:orders])
      @client = TaskerCore::Client.new(options.fetch(:url))
      @run = Time.now.utc.strftime("%Y%m%dT%H%M%S.%6N")
      @shop = Shop.new(@client, @run)
      @pool = WorkerPool.new(url: options.fetch(:url))
      @second_half = Queue.new # closed when it may be submitted
    end

    # @return [Boolean] whether the proof holds
    def call
      install_extension
      @shop.open(@input.products)
      @client.register_task_template(TaskerCore::Template.load(File.join(__dir__, "order_fulfillment.yaml")).first)
      @out.puts("#{@input.orders} orders, #{@options.fetch(:workers)} workers#{", one of them to be killed" if kill?}")
      fulfill
      Report.new(@client.connection, @out).print
      Proof.new(@client.connection, orders: @input.orders, submissions: @input.submissions.size, run: @run,
                                    killed: @killed).print(@out)
    end

    private

    def kill? = @options.fetch(:kill)

    def install_extension
      available = @client.connection.query("SELECT FROM pg_available_extensions WHERE name = 'tasker_core'")
      if available.empty?
        raise Impossible, "the server does not have the extension tasker_core; on its machine: " \
                          "make && sudo make install (PG_CONFIG=... chooses the PostgreSQL)"
      end
      @client.connection.query("SET client_min_messages = warning")
      @client.connection.query("CREATE EXTENSION IF NOT EXISTS tasker_core")
      @client.check_extension
    end

    def fulfill
      @pool.start(@options.fetch(:workers))
      submitting = Thread.new { submit_all }
      submitting.report_on_exception = false
      watch(submitting)
      submitting.join
    ensure
      submitting&.kill
      @pool.stop
    end

    def submit_all
      client = TaskerCore::Client.new(@options.fetch(:url))
      client.connection.query("SET ROLE #{WorkerPool::ROLE}")
      shop = Shop.new(client, @run)
      @input.submissions.first(first_half).each { |order| shop.submit(order) }
      @second_half.pop if kill?
      @input.submissions.drop(first_half).each { |order| shop.submit(order) }
    ensure
      client&.connection&.close
    end

    def first_half = @input.submissions.size / 2

    def watch(submitting)
      moved_at = monotonic
      steps = -1
      loop do
        submitting.join unless submitting.alive? # raises what went wrong there
        progress = @client.connection.query(PROGRESS).first
        show(progress)
        moved_at = monotonic if progress.fetch(:steps) != steps
        steps = progress.fetch(:steps)
        break if progress.fetch(:finished) == @input.orders

        check_health(monotonic - moved_at)
        kill_a_worker if kill? && !@killed && progress.fetch(:finished) * 5 >= first_half * 2
        sleep(INTERVAL)
      end
    ensure
      @out.puts
    end

    def check_health(standstill)
      last_words = @pool.look_after
      raise Impossible, "a worker has given up:\n#{last_words}" if last_words
      raise Impossible, "no step has ended for #{PATIENCE} seconds" if standstill > PATIENCE
    end

    # For a moment nobody can take anything out of stock. So workers sit in the middle of their
    # transactions when one of them is killed, and the other half of the orders comes on top.
    def kill_a_worker
      @client.transaction do |connection|
        connection.exec("LOCK TABLE shop.products IN EXCLUSIVE MODE")
        @second_half.close
        victim = wait_for_victim
        @pool.kill(victim.fetch(:pid))
        @killed = victim.fetch(:worker_id)
        @note = format("killed %<worker_id>s with %<steps>d steps in its hands", **victim)
      end
      @pool.start(1)
    end

    def wait_for_victim
      deadline = monotonic + PATIENCE
      loop do
        victim = @client.connection.query(VICTIM, ["{#{@pool.pids.join(",")}}"]).first
        return victim if victim
        raise Impossible, "no order has come as far as reserve_inventory" if monotonic > deadline

        sleep(0.01)
      end
    end

    def show(progress)
      line = format("%<submitted>5d submitted  %<finished>5d ended: %<complete>d complete, %<error>d error  " \
                    "%<steps>6d steps", **progress)
      line = "#{line}  #{@note}" if @note
      if @out.tty?
        width = @out.winsize.last
        @out.print("\r\e[K#{width > 1 ? line[0, width - 1] : line}")
      elsif monotonic - (@shown_at || 0) > 2
        @shown_at = monotonic
        @out.puts(line)
      end
      @out.flush
    end

    def monotonic = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end

  def self.options(arguments)
    options = { workers: 3, kill: true, input: File.join(__dir__, "orders.json"), url: ENV.fetch("DATABASE_URL", "") }
    OptionParser.new do |parser|
      parser.on("--url URL", "database to run in; its user must be allowed to create the extension and a role") { |url| options[:url] = url }
      parser.on("--orders N", Integer, "the first N orders of the input") { |n| options[:orders] = n }
      parser.on("--workers N", Integer, "worker processes (3)") { |n| options[:workers] = n }
      parser.on("--no-kill", "kill no worker") { options[:kill] = false }
      parser.on("--input FILE", "orders to fulfil (orders.json)") { |file| options[:input] = file }
    end.parse!(arguments)
    raise Impossible, "unexpected argument: #{arguments.first}" unless arguments.empty?
    raise Impossible, "--orders and --workers must be at least 1" if [options[:orders] || 1, options[:workers]].min < 1

    options
  end
end

begin
  exit(OrderFulfillment::Run.new(OrderFulfillment.options(ARGV)).call)
rescue OrderFulfillment::Impossible, OptionParser::ParseError => e
  abort("run.rb: #{e.message}")
rescue TaskerCore::DatabaseError => e
  abort("run.rb: #{e.explanation}")
rescue Interrupt
  abort("run.rb: interrupted")
end
