# frozen_string_literal: true

module TaskerCore
  # Bases of step handlers.
  module StepHandler
    autoload :Api, File.join(__dir__, "step_handler/api")

    # Base of step handlers. Inheriting is a convenience: any object that answers
    # to `process(task, sequence, step)` will do.
    #
    # One instance serves all threads of a worker, so `process` must keep its
    # state in local variables.
    class Base
      # @return [Hash] the step's handler configuration from the template
      attr_reader :config

      # @param config [Hash]
      def initialize(config: {})
        @config = config
      end

      # Does the step's work.
      #
      # @param task [Task]
      # @param sequence [StepSequence] the step's parents and their results
      # @param step [Step]
      # @return the results: any JSON value
      # @raise [RetryableError, PermanentError] to say how a failure is to be treated
      def process(task, sequence, step)
        raise NotImplementedError, "#{self.class.name} does not define process(task, sequence, step)"
      end

      # Shapes what `process` returned into what is stored. Not called after
      # {Step#transaction}, whose results are stored already.
      #
      # @return the results: any JSON value
      def process_results(step, process_output, initial_results = nil)
        process_output
      end
    end

    # A block as a handler.
    #
    # @api private
    class Block
      # @raise [ConfigurationError] unless it can be called with (task, sequence, step)
      def initialize(block)
        if block.lambda? && block.arity != 3 && !(block.arity.negative? && ~block.arity <= 3)
          raise ConfigurationError, "a lambda as a handler must take (task, sequence, step)"
        end

        @block = block
      end

      # @see Base#process
      def process(task, sequence, step) = @block.call(task, sequence, step)
    end
  end
end
