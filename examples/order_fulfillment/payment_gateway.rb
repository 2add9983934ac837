# frozen_string_literal: true

module OrderFulfillment
  # Stands for the payment service of another company. What it answers depends
  # on the card alone, so that every run can be compared with its input:
  #
  #   valid      authorised
  #   declined   refused, for good
  #   busy_N     503 with Retry-After to the first N attempts, then authorised
  #
  # A real one is given the order number as idempotency key, because a worker
  # that dies after the answer makes the next one ask again.
  class PaymentGateway
    class Declined < StandardError; end

    # The gateway is overloaded and has said when to come back.
    class Unavailable < StandardError
      attr_reader :retry_after

      def initialize(message, retry_after:)
        super(message)
        @retry_after = retry_after
      end
    end

    RETRY_AFTER_SECONDS = 0.2

    def initialize(latency_seconds:)
      @latency_seconds = latency_seconds
    end

    # @return [String] authorization code
    def authorize(order_number:, amount_cents:, card:, attempt:)
      sleep(@latency_seconds)
      raise Declined, "card declined for #{amount_cents} cents" if card == "declined"

      if attempt <= card[/\Abusy_(\d+)\z/, 1].to_i
        raise Unavailable.new("503 Service Unavailable", retry_after: RETRY_AFTER_SECONDS)
      end
      "AUTH-#{order_number}"
    end
  end
end
