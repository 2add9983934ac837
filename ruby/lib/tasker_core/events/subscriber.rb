# frozen_string_literal: true

module TaskerCore
  module Events
    # A subscription as a class: an event goes to the method named after it,
    # `handle_task_completed` for task.completed, else to {#handle}.
    #
    #   class Billing < TaskerCore::Events::Subscriber
    #     subscribe_to "task.completed", "order.*", as: "billing"
    #
    #     def handle_task_completed(event, pg)
    #       pg.exec_params("INSERT INTO invoices (task_id) VALUES ($1)", [event.task_id])
    #     end
    #   end
    #   Billing.start
    class Subscriber
      class << self
        # @param patterns [Array<String>]
        # @param as [String, nil] name of a durable subscription
        # @param from [:now, :beginning] where a durable subscription that is new begins
        def subscribe_to(*patterns, as: nil, from: :now)
          @patterns = patterns.flatten.freeze
          @options = { as: as, from: from }.freeze
        end

        # Makes one instance and subscribes it.
        # @param bus [Bus]
        # @return [Subscription]
        # @raise [HandlerNotFound] listing every event that no method takes
        def start(*arguments, bus: Events.bus, **keywords)
          raise ConfigurationError, "#{name} does not say subscribe_to" unless @patterns

          subscriber = new(*arguments, **keywords)
          missing = Pattern.new(@patterns).exact.reject { |event| subscriber.handles?(event) }
          unless missing.empty?
            raise HandlerNotFound, "#{name} has no method for #{missing.join(", ")}: define " \
                                   "#{missing.map { |event| subscriber.method_for(event) }.join(", ")}, or handle"
          end
          bus.subscribe(*@patterns, **@options) { |event, pg| subscriber.dispatch(event, pg) }
        end
      end

      # @api private
      def method_for(event_name) = :"handle_#{event_name.gsub(/\W/, "_")}"

      # @api private
      def handles?(event_name) = respond_to?(method_for(event_name)) || respond_to?(:handle)

      # Events of a pattern with * that no method takes are left alone.
      # @api private
      def dispatch(event, pg)
        name = method_for(event.name)
        name = :handle unless respond_to?(name)
        return unless respond_to?(name)

        method(name).arity.abs > 1 ? public_send(name, event, pg) : public_send(name, event)
      end
    end
  end
end
