# frozen_string_literal: true

require "test_helper"

# The table of faults in test/README.md names tests that there are.
class FaultTableTest < UnitTest
  ROOT = File.expand_path("..", __dir__)

  def test_every_fault_has_its_test
    rows = File.readlines(File.join(ROOT, "README.md")).grep(/\A\| (?!fault|---)/) { |line| line.scan(/`([^`]+)`/).flatten.last(2) }
    assert_operator rows.size, :>=, 30
    rows.each do |file, test|
      assert_match(/^  def #{test}\b/, File.read(File.join(ROOT, file)), "test/README.md names #{test} of #{file}")
    end
  end
end
