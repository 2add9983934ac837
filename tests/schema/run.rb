#!/usr/bin/env ruby
# frozen_string_literal: true

# Runs JSON Schema test files through tasker.validate_json_schema() and prints TAP.
#
#   tests/schema/run.rb [--skips FILE] DIRECTORY...      (libpq's environment names the database)
#
# The files are in the format of the official JSON Schema Test Suite. Cases are named
# "directory/file: group: test". What the skip list names is run as well: a case that would pass,
# or that does not exist, makes its entry stale, and a stale entry is a failure.

require "json"
require "optparse"
require "pg"

# One line of the skip list: a file ("ref.json"), or groups or tests in it, and why.
class Skip
  attr_reader :covered

  def initialize(entry)
    @file, @groups, @test, @reason = entry.values_at("file", "groups", "test", "reason")
    raise "a skip needs a file and a reason: #{entry}" unless @file && @reason

    @covered = []
  end

  attr_reader :reason

  def covers?(test_case)
    @file == test_case.file && (@groups.nil? || @groups.include?(test_case.group)) &&
      (@test.nil? || @test == test_case.test)
  end

  # A file that is left out as a whole is not about what is enforced, so some cases may pass.
  def stale
    unknown = (@groups || []) - covered.map(&:group)
    return "no such group: #{unknown.join(", ")}" unless unknown.empty?
    return "no such case" if covered.empty?

    passing = covered.select(&:passes?)
    return if passing.empty? || (@groups.nil? && passing.size < covered.size)

    "passes: #{passing.map(&:name).uniq.join(", ")}"
  end

  def to_s = [@file, *@groups&.join(", "), @test].compact.join(": ")
end

# One document, and whether it should match.
TestCase = Struct.new(:file, :group, :test, :valid, :outcome) do
  def name = "#{file}: #{group}: #{test}"
  def passes? = outcome == valid
end

# The database reads the files, so that numbers arrive as they are written.
class Suite
  OUTCOME = <<~SQL
    CREATE FUNCTION pg_temp.outcome(schema jsonb, document jsonb) RETURNS text LANGUAGE plpgsql AS $$
    DECLARE
      faults text;
    BEGIN
      RETURN NOT EXISTS (SELECT FROM tasker.validate_json_schema(schema, document));
    EXCEPTION WHEN invalid_parameter_value THEN
      GET STACKED DIAGNOSTICS faults = PG_EXCEPTION_DETAIL;
      RETURN 'refused: ' || faults;
    END $$
  SQL

  CASES = <<~SQL
    SELECT g ->> 'description', t ->> 'description', t ->> 'valid', pg_temp.outcome(g -> 'schema', t -> 'data')
    FROM jsonb_array_elements($1) WITH ORDINALITY AS groups(g, g_ord)
    CROSS JOIN LATERAL jsonb_array_elements(g -> 'tests') WITH ORDINALITY AS tests(t, t_ord)
    ORDER BY g_ord, t_ord
  SQL

  def initialize(connection)
    @connection = connection
    @connection.exec("SET client_min_messages = warning")
    @connection.exec(OUTCOME)
  end

  def cases(directory)
    files = Dir["**/*.json", base: directory].sort
    raise "no test files in #{directory}" if files.empty?

    files.flat_map do |file|
      @connection.exec_params(CASES, [File.read(File.join(directory, file), encoding: "UTF-8")]).values.map do |row|
        TestCase.new(file, *row)
      end
    end
  end
end

# Prints TAP and counts.
class Report
  def initialize
    @count = Hash.new(0)
  end

  def line(verdict, name, directive = nil)
    @count[verdict] += 1
    number = @count.values.sum
    puts "#{"not " if verdict == :failed}ok #{number} - #{name.gsub("#", "\\#")}#{directive}"
  end

  def finish
    puts "1..#{@count.values.sum}"
    puts format("%<passed>d passed, %<failed>d failed, %<skipped>d skipped",
                passed: @count[:passed], failed: @count[:failed], skipped: @count[:skipped])
    @count[:failed].zero?
  end
end

def report_case(report, skips, test_case)
  skip = skips.find { |entry| entry.covers?(test_case) }
  if skip
    skip.covered << test_case
    report.line(:skipped, test_case.name, " # SKIP #{skip.reason}")
  else
    report.line(test_case.passes? ? :passed : :failed, test_case.name)
    puts "#   is #{test_case.outcome}, should be #{test_case.valid}" unless test_case.passes?
  end
end

def report_skips(report, skips)
  skips.each do |skip|
    stale = skip.stale
    report.line(stale ? :failed : :passed, "the skip list is right about #{skip}")
    puts "#   #{stale}" if stale
  end
end

skip_file = nil
directories = OptionParser.new { |options| options.on("--skips FILE") { |file| skip_file = file } }.parse(ARGV)
abort "usage: run.rb [--skips FILE] DIRECTORY..." if directories.empty?

suite = Suite.new(PG.connect)
skips = skip_file ? JSON.parse(File.read(skip_file, encoding: "UTF-8")).map { |entry| Skip.new(entry) } : []
report = Report.new
directories.each do |directory|
  suite.cases(directory).each { |test_case| report_case(report, skips, test_case) }
end
report_skips(report, skips)
exit(report.finish)
