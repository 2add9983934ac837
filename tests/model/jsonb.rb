# frozen_string_literal: true

require "json"

module ModelTest
  # How PostgreSQL shows a value of type jsonb.
  module Jsonb
    module_function

    def text(value)
      case value
      when Hash then "{#{value.sort_by { |key, _| [key.bytesize, key] }.map { |key, one| "#{JSON.generate(key)}: #{text(one)}" }.join(", ")}}"
      when Array then "[#{value.map { |one| text(one) }.join(", ")}]"
      else JSON.generate(value)
      end
    end
  end
end
