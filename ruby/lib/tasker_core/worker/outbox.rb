# frozen_string_literal: true

module TaskerCore
  class Worker
    # Results on their way from handler threads to the claimer, which hands them
    # over with its next question: one call and one commit for many. Batches
    # form by themselves while a call is under way.
    #
    # No result waits for long: when the claimer does not come within {PATIENCE},
    # the thread that waited so long takes all that wait and sends them.
    #
    # @api private
    class Outbox
      # Seconds a result waits to be taken.
      PATIENCE = 0.003

      # A result, and what became of it.
      class Item
        attr_reader :workflow_step_id, :claim_token, :results
        attr_accessor :state, :answer
        attr_reader :condition

        def initialize(claim, results)
          @workflow_step_id = claim.workflow_step_id
          @claim_token = claim.claim_token
          @results = results
          @state = :waiting
          @condition = ConditionVariable.new
        end
      end

      # @param bell [Bell] rung for the claimer
      def initialize(bell, patience: PATIENCE)
        @bell = bell
        @patience = patience
        @mutex = Mutex.new
        @waiting = []
        @closed = false
      end

      # Called by a handler thread, which waits for the answer.
      # @yieldparam items [Array<Item>] when this thread has to send them; it must {#answer} them
      # @return the answer; nil when the caller has to send its result alone
      def deliver(claim, results)
        item = Item.new(claim, results)
        @mutex.synchronize do
          return if @closed

          @waiting << item
        end
        @bell.ring
        taken = @mutex.synchronize { taken?(item) }
        yield take unless taken || @closed
        @mutex.synchronize { answer_of(item) }
      end

      # Called by the claimer, which must {#answer} what it takes.
      # @return [Array<Item>]
      def take
        @mutex.synchronize do
          taken = @waiting
          @waiting = []
          taken.each { |item| item.state = :taken }
        end
      end

      def any? = @mutex.synchronize { @waiting.any? }

      # @yieldparam item [Item]
      # @yieldreturn what {#deliver} returns
      def answer(items)
        @mutex.synchronize do
          items.each do |item|
            item.answer = yield item
            item.state = :answered
            item.condition.signal
          end
        end
      end

      # From now on everybody sends alone.
      def close
        @mutex.synchronize do
          @closed = true
          @waiting.each { |item| item.condition.signal }
        end
      end

      private

      # @return [Boolean] whether somebody has taken it within the time it may wait
      def taken?(item)
        deadline = Backoff.monotonic + @patience
        while item.state == :waiting && !@closed
          rest = deadline - Backoff.monotonic
          return false if rest <= 0

          item.condition.wait(@mutex, rest)
        end
        item.state != :waiting
      end

      def answer_of(item)
        return if @waiting.delete(item)

        item.condition.wait(@mutex) until item.state == :answered
        item.answer
      end
    end
  end
end
