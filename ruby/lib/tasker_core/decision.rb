# frozen_string_literal: true

module TaskerCore
  # Results of a step of type `decision`: which of its branches to take.
  #
  #   def process(task, _sequence, _step)
  #     return TaskerCore::Decision.no_branches(reason: "small") if task.context["amount"] < 100
  #
  #     TaskerCore::Decision.branches("manager_approval", "finance_review")
  #   end
  module Decision
    module_function

    # @param names [Array<String>] steps to take, which come after the decision
    # @param result [Hash] whatever else the result is to hold
    # @return [Hash]
    def branches(*names, **result)
      names = names.flatten.map(&:to_s)
      raise ArgumentError, "name at least one branch, or say no_branches" if names.empty?

      outcome(names, result)
    end

    # @param result [Hash] whatever else the result is to hold
    # @return [Hash]
    def no_branches(**result) = outcome([], result)

    def outcome(names, result)
      result = result.transform_keys(&:to_s)
      raise ArgumentError, "branches is the result's own key" if result.key?("branches")

      { **result, "branches" => names }
    end
    private_class_method :outcome
  end
end
