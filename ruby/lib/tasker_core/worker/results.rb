# frozen_string_literal: true

module TaskerCore
  class Worker
    # Hands results to the extension.
    #
    # @api private
    module Results
      # The database will never take such results, whoever computes them again.
      UNSTORABLE = [SerializationError, SchemaMismatch, LimitExceeded, InvalidArgument].freeze
      private_constant :UNSTORABLE

      # @return [Completion]
      # @raise [PermanentError] when the results cannot be stored
      def self.store(client, claim, results)
        client.complete_step(workflow_step_id: claim.workflow_step_id, claim_token: claim.claim_token,
                             results: results)
      rescue *UNSTORABLE => e
        raise PermanentError.new("results cannot be stored: #{e.explanation}",
                                 error_code: e.sqlstate || "SERIALIZATION")
      end
    end
  end
end
