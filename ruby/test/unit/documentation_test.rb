# frozen_string_literal: true

require "test_helper"
require "support/pools"

# Everything an application may call says what it does and returns.
class DocumentationTest < UnitTest
  ROOT = File.expand_path("../..", __dir__)
  # Programs: called by their users, not by their code.
  PROGRAMS = /\ATaskerCore::(CLI|Dashboard)::/

  def setup
    skip "yard is not installed" unless Pools.load("yard")
    self.class.parse
  end

  def self.parse
    @parse ||= Pools.quietly do
      YARD::Logger.instance.level = YARD::Logger::ERROR
      YARD::Registry.clear
      YARD.parse(Dir[File.join(ROOT, "lib/**/*.rb")].sort) && true
    end
  end

  def hidden?(object)
    until object.nil? || object.root?
      return true if object.has_tag?(:api) && object.tag(:api).text == "private"
      return true if object.respond_to?(:visibility) && object.visibility != :public

      object = object.namespace
    end
    false
  end

  def place(object) = "#{object.file.delete_prefix("#{ROOT}/")}:#{object.line} #{object.path}"

  def public_objects(*types) = YARD::Registry.all(*types).reject { |object| object.path.match?(PROGRAMS) || hidden?(object) }

  def test_every_public_class_and_method_is_documented
    objects = public_objects(:class, :module, :method)
              .reject { |object| %i[initialize inspect to_s ActiveJob QueueAdapters].include?(object.name) }
    undocumented = objects.select { |object| object.docstring.blank?(false) && object.file }
    assert_empty undocumented.map { |object| place(object) }
    assert_operator objects.size, :>, 150, "the parser saw next to nothing"
  end

  def test_every_method_of_the_client_is_documented_with_its_arguments
    client = YARD::Registry.at("TaskerCore::Client")
    TaskerCore::Functions.table.each do |name, function|
      documented = client.child(name: name, scope: :instance)
      assert documented, "ruby/lib/tasker_core/client.rb: #{name} lacks its @!method comment"
      parameters = documented.parameters.map { |parameter, _| parameter.delete_suffix(":").to_sym } - [:"**options"]
      assert_equal function.arguments.map(&:name) - [:yield], parameters, "ruby/lib/tasker_core/client.rb: @!method #{name}"
      assert documented.has_tag?(:return), "ruby/lib/tasker_core/client.rb: #{name} does not say what it returns"
    end
  end
end
