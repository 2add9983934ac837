# frozen_string_literal: true

module TaskerCore
  class Worker
    # Extends all leases of this worker in one call, four times a lease.
    #
    # @api private
    class Heartbeat
      def initialize(connection:, worker_id:, lease_seconds:, leases:, metrics:, log:)
        @client = Client.new(connection)
        @worker_id = worker_id
        @lease_seconds = lease_seconds
        @interval = lease_seconds / 4.0
        @leases = leases
        @metrics = metrics
        @log = log
        @bell = Bell.new(Float::INFINITY)
        @stopping = false
        @failing = false
      end

      def run
        beat until wait_for_stop
      end

      # @return [Boolean] whether the last heartbeat failed
      def failing? = @failing

      def stop
        @stopping = true
        @bell.ring
      end

      private

      # After a failure the next try must come before the leases end.
      def wait_for_stop
        @bell.wait(@failing ? [@interval / 4, 1.0].min : @interval)
        @stopping
      end

      def beat
        lost = @leases.renewing(@lease_seconds) do |claims|
          @client.heartbeat(worker_id: @worker_id, workflow_step_ids: claims.map(&:workflow_step_id),
                            claim_tokens: claims.map(&:claim_token), lease_seconds: @lease_seconds)
        end
        report_lost(lost)
        @log.info("heartbeat works again") if @failing
        @failing = false
      rescue DatabaseError => e
        @metrics.add(:heartbeat_errors)
        @log.error("heartbeat failed, trying on", error: "#{e.class}: #{e.explanation}") unless @failing
        @failing = true
      end

      # The handler is left to run: it cannot be stopped safely, and what it
      # sends will be refused. It may ask {Step#lost?} itself.
      def report_lost(claims)
        claims.each do |claim|
          @log.warn("lease lost while the handler runs", task: claim.full_task_name, step: claim.step_name,
                                                         workflow_step_id: claim.workflow_step_id)
        end
      end
    end
  end
end
