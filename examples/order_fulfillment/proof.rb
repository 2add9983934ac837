# frozen_string_literal: true

module OrderFulfillment
  # What must be true whoever was killed, whenever. Each statement gives one row:
  # whether it holds, and the figures that say so.
  class Proof
    # What became of each order. Whether it was fulfilled is what its task says,
    # so that the rows of the shop are measured against something else.
    FATES = <<~SQL
      WITH fate AS (
        SELECT o.order_number, o.card, o.total_cents, task.task_id, task.state, last.error_code,
               (SELECT count(*) FROM shop.payments p WHERE p.order_number = o.order_number) AS payments,
               (SELECT sum(amount_cents) FROM shop.payments p WHERE p.order_number = o.order_number) AS paid_cents,
               (SELECT count(*) FROM shop.shipments s WHERE s.order_number = o.order_number) AS shipments,
               (SELECT count(*) FROM shop.reservations r WHERE r.order_number = o.order_number) AS reservations
        FROM shop.orders o
        LEFT JOIN tasker.tasks task USING (task_id)
        LEFT JOIN LATERAL (
          SELECT error ->> 'error_code' AS error_code FROM tasker.step_attempts attempt
          WHERE attempt.task_id = o.task_id AND attempt.to_state = 'error') last ON true
      )
    SQL

    ENDED = <<~SQL
      #{FATES}
      SELECT count(*) = $1::int AND count(DISTINCT task_id) = $1::int
               AND count(*) FILTER (WHERE state IN ('complete', 'error')) = $1::int
               AND (SELECT count(*) FROM tasker.tasks WHERE idempotency_key LIKE $3 || ':%') = $1::int AS holds,
             format('%s orders, sent %s times, %s tasks', count(*), $2::int, count(DISTINCT task_id)) AS figures
      FROM fate
    SQL

    STOCK = <<~SQL
      #{FATES},
      sold AS (
        SELECT line.sku, sum(line.quantity) AS quantity
        FROM fate JOIN shop.order_lines line USING (order_number)
        WHERE fate.state = 'complete' GROUP BY line.sku
      )
      SELECT count(*) FILTER (WHERE coalesce(sold.quantity, 0) + stock <> initial_stock) = 0 AS holds,
             format('%s + %s = %s in %s products', sum(coalesce(sold.quantity, 0)), sum(stock), sum(initial_stock),
                    count(*)) AS figures
      FROM shop.products LEFT JOIN sold USING (sku)
    SQL

    COMPLETED = <<~SQL
      #{FATES}
      SELECT count(*) FILTER (WHERE payments <> 1 OR paid_cents <> total_cents OR shipments <> 1) = 0 AS holds,
             format('%s orders, %s payments, %s shipments', count(*), sum(payments), sum(shipments)) AS figures
      FROM fate WHERE state = 'complete'
    SQL

    FAILED = <<~SQL
      #{FATES}
      SELECT count(*) FILTER (WHERE payments + shipments + reservations <> 0) = 0 AS holds,
             format('%s orders', count(*)) AS figures
      FROM fate WHERE state = 'error'
    SQL

    # Who gets the last of a scarce product is open; that nobody is refused while there is some, is not.
    AS_INPUT = <<~SQL
      #{FATES},
      expectation AS (
        SELECT fate.*,
               CASE WHEN count(line.sku) = 0 THEN 'EMPTY_BASKET'
                    WHEN count(line.sku) > count(product.sku) THEN 'UNKNOWN_PRODUCT'
                    WHEN fate.card = 'declined' THEN 'CARD_DECLINED'
               END AS expected,
               coalesce(bool_or(product.stock < line.quantity), false) AS sold_out
        FROM fate
        LEFT JOIN shop.order_lines line USING (order_number)
        LEFT JOIN shop.products product USING (sku)
        GROUP BY fate.order_number, fate.card, fate.total_cents, fate.task_id, fate.state, fate.error_code,
                 fate.payments, fate.paid_cents, fate.shipments, fate.reservations
      )
      SELECT count(*) FILTER (WHERE NOT (error_code IS NOT DISTINCT FROM expected
                                         OR (expected IS NULL AND error_code = 'OUT_OF_STOCK' AND sold_out))) = 0 AS holds,
             format('%s fulfilled, %s refused', count(*) FILTER (WHERE state = 'complete'),
                    count(*) FILTER (WHERE state = 'error')) AS figures
      FROM expectation
    SQL

    NO_VIOLATION = <<~SQL
      SELECT count(*) FILTER (WHERE attempt.error ->> 'class' LIKE 'PG::%Violation') = 0 AS holds,
             format('%s attempts', count(*)) AS figures
      FROM shop.orders JOIN tasker.step_attempts attempt USING (task_id)
    SQL

    TAKEN_OVER = <<~SQL
      SELECT count(*) > 0 AND count(*) = count(later.task_id) AS holds, format('%s steps', count(*)) AS figures
      FROM tasker.step_attempts lost
      LEFT JOIN LATERAL (
        SELECT task_id FROM tasker.step_attempts attempt
        WHERE attempt.task_id = lost.task_id AND attempt.step_no = lost.step_no
          AND attempt.attempt_no > lost.attempt_no AND attempt.worker_id <> lost.worker_id LIMIT 1) later ON true
      WHERE lost.worker_id = $1 AND lost.outcome = 'lease_expired'
    SQL

    VERIFIED = <<~SQL
      SELECT count(*) = 0 AS holds, format('%s violations', count(*)) AS figures FROM tasker.verify_all(NULL)
    SQL

    # @param orders [Integer] how many there are in the input
    # @param submissions [Integer] how often they were sent
    # @param run [String] what the idempotency keys of this run begin with
    # @param killed [String, nil] worker_id of the killed worker
    def initialize(connection, orders:, submissions:, run:, killed:)
      @connection = connection
      @statements = [
        ["every order has ended, as one task however often it was sent", ENDED, [orders.to_s, submissions.to_s, run]],
        ["stock sold + stock left = stock at the start, for every product", STOCK],
        ["one payment of the right amount and one shipment for each completed order", COMPLETED],
        ["no payment, no shipment, nothing reserved for a failed one", FAILED],
        ["each order ended as its input says", AS_INPUT],
        ["no constraint had to prevent a second payment or shipment", NO_VIOLATION]
      ]
      @statements << ["what the killed worker held was run again by others", TAKEN_OVER, [killed]] if killed
      @statements << ["tasker.verify_all() finds nothing wrong", VERIFIED]
    end

    # @return [Boolean] whether all of it holds
    def print(out)
      out.puts("\nProof")
      @statements.map do |claim, sql, parameters|
        row = @connection.query(sql, parameters || []).first
        out.puts("  #{row.fetch(:holds) ? "✓" : "✗"} #{claim} (#{row.fetch(:figures)})")
        row.fetch(:holds)
      end.all?
    end
  end
end
