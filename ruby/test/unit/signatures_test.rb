# frozen_string_literal: true

require "test_helper"
require "support/pools"
require "open3"
require "rake"
require "tasker_core/test_helpers"

# sig/ is valid, says nothing that is not so, and leaves out nothing that is generated.
class SignaturesTest < UnitTest
  ROOT = File.expand_path("../..", __dir__)

  def setup
    skip "rbs is not installed" unless Pools.load("rbs")
  end

  def test_the_signatures_are_valid
    program = 'gem "rbs"; require "rbs"; require "rbs/cli"; RBS::CLI.new(stdout: $stdout, stderr: $stderr).run(ARGV)'
    output, status = Open3.capture2e(RbConfig.ruby, "-W0", "-e", program, "-I", "sig", "validate", chdir: ROOT)
    assert_predicate status, :success?, output
  end

  # @yieldparam the class or module, the RBS member
  def each_member
    Dir[File.join(ROOT, "sig/*.rbs")].each do |file|
      declarations = RBS::Parser.parse_signature(File.read(file)).flatten.grep(RBS::AST::Declarations::Base)
      declarations.each { |declaration| walk(declaration, Object) { |owner, member| yield owner, member } }
    end
  end

  def walk(declaration, scope, &block)
    return unless declaration.respond_to?(:members)

    owner = scope.const_get(declaration.name.name)
    declaration.members.each do |member|
      member.is_a?(RBS::AST::Declarations::Base) ? walk(member, owner, &block) : yield(owner, member)
    end
  end

  def test_the_generated_ones_are_up_to_date
    load File.join(ROOT, "rakelib/signatures.rake") unless defined?(Signatures)
    { "client" => Signatures.client, "values" => Signatures.values }.each do |name, text|
      assert_equal text, File.read(File.join(ROOT, "sig/#{name}.rbs")), "sig/#{name}.rbs: rake sig writes it anew"
    end
  end

  def test_everything_they_name_exists
    checked = 0
    each_member do |owner, member|
      next unless member.respond_to?(:name)

      name = member.name.to_sym
      there = member.respond_to?(:kind) && member.kind == :singleton ? owner.respond_to?(name) : owner.method_defined?(name)
      there ||= owner.private_method_defined?(name) # initialize
      assert there, "sig/ names #{owner}##{name}, which does not exist; rake sig writes the generated files anew"
      checked += 1
    end
    assert_operator checked, :>, 200
  end
end
