# frozen_string_literal: true

module TaskerCore
  class Worker
    # What fail_step is told about an exception. The text is bounded and made
    # storable: a failure that cannot be recorded would come back for ever.
    #
    # @api private
    module FailureReport
      MESSAGE_BYTES = 2_048
      BACKTRACE_LINES = 50
      LINE_BYTES = 500

      module_function

      # @return [Failure]
      # @raise [LeaseLost]
      def deliver(client, claim, error)
        client.fail_step(workflow_step_id: claim.workflow_step_id, claim_token: claim.claim_token, error: of(error),
                         retryable: retryable?(error), retry_after_seconds: retry_after(error))
      end

      # @return [Hash]
      def of(error)
        {
          class: error.class.name || error.class.to_s,
          message: storable(message(error), MESSAGE_BYTES),
          backtrace: (error.backtrace || []).first(BACKTRACE_LINES).map { |line| storable(line, LINE_BYTES) },
          error_code: (error.error_code if error.respond_to?(:error_code)),
          context: context(error)
        }.compact
      end

      # @return [Boolean] whether the extension may try again, as far as the handler goes
      def retryable?(error) = !(error.is_a?(PermanentError) || error.is_a?(SerializationError))

      # @return [Numeric, nil] seconds
      def retry_after(error) = (error.retry_after if error.is_a?(RetryableError))

      # NameError#message of Ruby 3.1 to 3.3 has a snippet of source in it.
      def message(error)
        (error.respond_to?(:original_message) ? error.original_message : error.message).to_s
      end

      def storable(text, bytes)
        Codec.printable(text).byteslice(0, bytes).scrub("")
      end

      def context(error)
        return unless error.respond_to?(:context) && error.context.is_a?(Hash) && !error.context.empty?

        text = Codec.encode(error.context, "jsonb")
        text.include?("\\u0000") ? { "unstorable" => storable(text, MESSAGE_BYTES) } : error.context
      rescue SerializationError
        { "unstorable" => storable(error.context.inspect, MESSAGE_BYTES) }
      end
      private_class_method :message, :storable, :context
    end
  end
end
