# frozen_string_literal: true

# sig/: what is declared is written from the declarations; sig/tasker_core.rbs is written by hand.
module Signatures
  TYPES = { "text" => "String", "uuid" => "String", "int" => "Integer", "bigint" => "Integer", "float8" => "Numeric",
            "boolean" => "bool", "timestamptz" => "Time", "jsonb" => "untyped" }.freeze

  module_function

  def argument(argument)
    element = TYPES.fetch(argument.type.delete_suffix("[]"), "String")
    type = argument.type.end_with?("[]") ? "Array[#{element}]" : element
    type = "#{type}?" if argument.optional && type != "untyped"
    return "#{type} #{argument.name}" unless argument.keyword

    "#{"?" if argument.optional}#{argument.name}: #{type}"
  end

  def answer(function)
    case function.answer
    when :value then "untyped"
    when :values then "Array[untyped]"
    when Array then "Array[#{function.answer.first.name}]"
    else "#{function.answer.name}?"
    end
  end

  def client
    methods = TaskerCore::Functions.table.each_value.map do |function|
      "    def #{function.name}: (#{function.arguments.map { |one| argument(one) }.join(", ")}) -> #{answer(function)}\n"
    end
    "# Written by `rake sig`.\nmodule TaskerCore\n  class Client\n#{methods.join}  end\nend\n"
  end

  def values
    classes = TaskerCore.constants.sort.map { |name| TaskerCore.const_get(name) }
                        .select { |constant| constant.is_a?(Class) && constant < Struct }
    bodies = classes.map do |value|
      readers = value.members.map { |member| "    attr_reader #{member}: untyped\n" }.join
      questions = value.public_instance_methods(false).grep(/\?\z/).sort.map { |name| "    def #{name}: () -> bool\n" }.join
      "  class #{value.name.delete_prefix("TaskerCore::")}\n#{readers}#{questions}    def with: (**untyped) -> self\n" \
        "    def to_h: () -> Hash[Symbol, untyped]\n  end\n"
    end
    "# Written by `rake sig`.\nmodule TaskerCore\n#{bodies.join("\n")}end\n"
  end
end

desc "Write the signatures of what is declared"
task :sig do
  $LOAD_PATH.unshift(File.expand_path("../lib", __dir__))
  require "tasker_core"
  File.write(File.expand_path("../sig/client.rbs", __dir__), Signatures.client)
  File.write(File.expand_path("../sig/values.rbs", __dir__), Signatures.values)
end
