# frozen_string_literal: true

# The business logic, one class a step. `tasker worker -r handlers.rb` loads it.

require "tasker_core"
require_relative "payment_gateway"

module OrderFulfillment
  # Orders without goods, or with goods the shop does not sell, go no further.
  class ValidateOrder < TaskerCore::StepHandler::Base
    LINES = <<~SQL
      SELECT line.sku, line.quantity, product.price_cents
      FROM shop.order_lines line LEFT JOIN shop.products product USING (sku)
      WHERE line.order_number = $1
      ORDER BY line.sku
    SQL

    def process(task, _sequence, step)
      order_number = task.context.fetch("order_number")
      step.transaction do |connection|
        lines = connection.exec_params(LINES, [order_number]).to_a
        check(lines)
        total = lines.sum { |line| line["quantity"].to_i * line["price_cents"].to_i }
        connection.exec_params("UPDATE shop.orders SET total_cents = $2 WHERE order_number = $1",
                               [order_number, total])
        { "total_cents" => total }
      end
    end

    private

    def check(lines)
      raise TaskerCore::ValidationError.new("the basket is empty", error_code: "EMPTY_BASKET") if lines.empty?

      unknown = lines.reject { |line| line["price_cents"] }.map { |line| line["sku"] }
      return if unknown.empty?

      raise TaskerCore::ValidationError.new("not sold here: #{unknown.join(", ")}", error_code: "UNKNOWN_PRODUCT")
    end
  end

  # All lines of an order are reserved, or none: a raise rolls back what came before it.
  class ReserveInventory < TaskerCore::StepHandler::Base
    # In the order of the SKUs, so that orders that share products cannot deadlock.
    LINES = "SELECT sku, quantity FROM shop.order_lines WHERE order_number = $1 ORDER BY sku"
    TAKE = "UPDATE shop.products SET stock = stock - $2 WHERE sku = $1 AND stock >= $2"
    RESERVE = "INSERT INTO shop.reservations (order_number, sku, quantity) VALUES ($1, $2, $3)"

    def process(task, sequence, step)
      order_number = task.context.fetch("order_number")
      step.transaction do |connection|
        connection.exec_params(LINES, [order_number]).each_row do |sku, quantity|
          if connection.exec_params(TAKE, [sku, quantity]).cmd_tuples.zero?
            raise TaskerCore::PermanentError.new("out of stock: #{sku}", error_code: "OUT_OF_STOCK")
          end

          connection.exec_params(RESERVE, [order_number, sku, quantity])
        end
        sequence.results_of("validate_order").slice("total_cents")
      end
    end
  end

  # The gateway is asked first and outside of the transaction: no locks are held while another
  # company thinks. What it authorised takes effect with the row in shop.payments.
  class ProcessPayment < TaskerCore::StepHandler::Base
    BOOK = <<~SQL
      INSERT INTO shop.payments (order_number, amount_cents, authorization_code)
      SELECT $1, $2, $3 WHERE EXISTS (SELECT FROM shop.reservations WHERE order_number = $1)
    SQL
    # Gives back once, however often it runs: the second time there is nothing to delete.
    GIVE_BACK = <<~SQL
      WITH given_back AS (DELETE FROM shop.reservations WHERE order_number = $1 RETURNING sku, quantity)
      UPDATE shop.products product SET stock = stock + given_back.quantity
      FROM given_back WHERE product.sku = given_back.sku
    SQL

    def initialize(config:)
      super
      @gateway = PaymentGateway.new(latency_seconds: config.fetch("gateway_latency_seconds"))
    end

    def process(task, sequence, step)
      order_number, card = task.context.fetch_values("order_number", "card")
      amount = sequence.results_of("reserve_inventory").fetch("total_cents")
      code = authorize(order_number, amount, card, step.attempt)
      step.transaction do |connection|
        if connection.exec_params(BOOK, [order_number, amount, code]).cmd_tuples.zero?
          raise TaskerCore::PermanentError.new("the goods are no longer reserved", error_code: "NOT_RESERVED")
        end

        { "authorization_code" => code, "amount_cents" => amount }
      end
    end

    private

    def authorize(order_number, amount, card, attempt)
      @gateway.authorize(order_number: order_number, amount_cents: amount, card: card, attempt: attempt)
    rescue PaymentGateway::Unavailable => e
      raise TaskerCore::RetryableError.new(e.message, retry_after: e.retry_after)
    rescue PaymentGateway::Declined => e
      give_back(order_number)
      raise TaskerCore::PermanentError.new(e.message, error_code: "CARD_DECLINED")
    end

    def give_back(order_number)
      TaskerCore.connection.transaction { |connection| connection.exec_params(GIVE_BACK, [order_number]) }
    end
  end

  # Writes the shipment; the carrier collects from there.
  class ShipOrder < TaskerCore::StepHandler::Base
    SHIP = "INSERT INTO shop.shipments (order_number, tracking_number) VALUES ($1, $2)"

    def process(task, _sequence, step)
      order_number = task.context.fetch("order_number")
      tracking_number = "#{config.fetch("carrier")}-#{task.task_id}"
      step.transaction do |connection|
        connection.exec_params(SHIP, [order_number, tracking_number])
        { "tracking_number" => tracking_number }
      end
    end
  end
end

TaskerCore.register(File.join(__dir__, "order_fulfillment.yaml"))
