# frozen_string_literal: true

require "json"
require "tasker_core"

module OrderFulfillment
  # What makes the run impossible, in words for whoever started it.
  class Impossible < StandardError; end

  # The orders of the input file: the first so many, and what was sent again of them.
  class Input
    attr_reader :products, :submissions, :orders

    def initialize(path, limit)
      data = JSON.parse(File.read(path))
      numbers = data.fetch("submissions").map { |order| order.fetch("order_number") }.uniq
      if limit && limit > numbers.size
        raise Impossible, "#{path} has #{numbers.size} orders, not #{limit}; " \
                          "ruby #{File.join(__dir__, "generate_orders.rb")} #{limit} > FILE writes more, for --input FILE"
      end
      chosen = numbers.first(limit || numbers.size)
      @orders = chosen.size
      @products = data.fetch("products")
      @submissions = data.fetch("submissions").select { |order| chosen.include?(order.fetch("order_number")) }
    end
  end

  # The shop: its tables, and taking orders.
  class Shop
    MARK = "example order_fulfillment of tasker_core"
    ADD_PRODUCTS = <<~SQL
      INSERT INTO shop.products (sku, name, price_cents, initial_stock, stock)
      SELECT sku, name, price_cents, stock, stock
      FROM jsonb_to_recordset($1::jsonb) AS product(sku text, name text, price_cents int, stock int)
    SQL
    ADD_ORDER = "INSERT INTO shop.orders (order_number, task_id, customer, card) VALUES ($1, $2, $3, $4)"
    ADD_LINES = <<~SQL
      INSERT INTO shop.order_lines (order_number, sku, quantity)
      SELECT $1, sku, quantity FROM jsonb_to_recordset($2::jsonb) AS line(sku text, quantity int)
    SQL

    # @param run [String] sets the order numbers of this run apart from an earlier one's
    def initialize(client, run)
      @client = client
      @run = run
    end

    def open(products)
      @client.transaction do |connection|
        connection.exec("SET LOCAL client_min_messages = warning")
        demolish_earlier(connection)
        connection.exec(File.read(File.join(__dir__, "schema.sql")))
        connection.exec_params(ADD_PRODUCTS, [JSON.generate(products)])
      end
    end

    # The order and its task are there together or not at all. An order that is sent again finds its
    # task by the key, and nothing more happens.
    def submit(order)
      number = order.fetch("order_number")
      @client.transaction do |connection|
        task = @client.create_task("order_fulfillment", namespace: "fulfillment",
                                                        context: { order_number: number, card: order.fetch("card") },
                                                        idempotency_key: "#{@run}:#{number}",
                                                        source_system: "web shop", initiator: order.fetch("customer"))
        next unless task.created

        connection.exec_params(ADD_ORDER, [number, task.task_id, order.fetch("customer"), order.fetch("card")])
        connection.exec_params(ADD_LINES, [number, JSON.generate(order.fetch("lines"))])
      end
    end

    private

    def demolish_earlier(connection)
      found = connection.exec("SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = 'shop'")
      return if found.ntuples.zero?
      raise Impossible, "this database has a schema \"shop\" of its own; please choose another database" if
        found.getvalue(0, 0) != MARK

      connection.exec("DROP SCHEMA shop CASCADE")
    end
  end
end
