# frozen_string_literal: true

module TaskerCore
  class Worker
    # Results in the form they travel in, and what the extension says about them.
    #
    # @api private
    module Results
      # The database will never take such results, whoever computes them again.
      UNSTORABLE = [SerializationError, SchemaMismatch, LimitExceeded, InvalidArgument].freeze
      # Larger ones travel alone, so that they do not hold up others.
      BATCHABLE_BYTES = 65_536
      private_constant :UNSTORABLE

      # JSON made once, in the thread of the handler.
      Encoded = Struct.new(:text) do
        def to_json(*) = text

        # What the server might refuse must not take others along: small, and
        # without the one escape that jsonb does not know.
        def batchable? = text.bytesize <= BATCHABLE_BYTES && !text.include?("\\u0000")
      end

      module_function

      # @return [Encoded]
      # @raise [PermanentError] when there is no JSON for it
      def encode(results) = storable { Encoded.new(Codec.encode(results, "jsonb")) }

      # @return [Completion]
      # @raise [PermanentError] when the results cannot be stored
      def store(client, claim, results)
        storable do
          client.complete_step(workflow_step_id: claim.workflow_step_id, claim_token: claim.claim_token,
                               results: results)
        end
      end

      # @param row [BatchCompletion, BatchClaim, nil] what is said about an item; nil: completed
      # @return [Symbol, Exception] what to tell the handler's thread
      def status(row)
        case row&.status
        when nil, "completed", "already_completed" then :completed
        when "lease_lost", "not_found"
          LeaseLost.new("the step is not held by this claim any more", sqlstate: "TC011")
        else refusal(row)
        end
      end

      def storable
        yield
      rescue *UNSTORABLE => e
        raise unstorable(e.explanation, e.sqlstate)
      end

      def refusal(row)
        error = row.error || {}
        details = Array(error["errors"]).map { |fault| fault.values_at("path", "message").compact.join(": ") }
        unstorable([error["message"] || "status #{row.status}", *details].join("\n"), error["sqlstate"])
      end

      def unstorable(message, sqlstate)
        PermanentError.new("results cannot be stored: #{message}", error_code: sqlstate || "SERIALIZATION")
      end
      private_class_method :storable, :refusal, :unstorable
    end
  end
end
