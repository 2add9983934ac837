# frozen_string_literal: true

require "test_helper"

# The gem against the catalog, in both directions, so that drift fails at once
# and says which line is to be written.
class ContractTest < DatabaseTest
  TYPES = { "integer" => "int", "integer[]" => "int[]", "double precision" => "float8",
            "timestamp with time zone" => "timestamptz" }.freeze
  # Defaults of columns and the filter of views, in no way for clients.
  INTERNAL = %i[event_seq event_xact sees_namespace].freeze
  # verify_task says nothing of the id that it was asked about.
  ADDED_BY_THE_GEM = { verify_task: [:task_id] }.freeze

  Described = Struct.new(:name, :arguments, :columns, :set, keyword_init: true) do
    def signature
      arguments.map { |argument, type, optional| "#{argument} #{type}#{"?" if optional}" }.join(", ")
    end

    def answer
      return (set ? ":values" : ":value") if columns.size < 2

      set ? "[TheRow]" : "TheRow"
    end

    # What to add to the gem for this function.
    def recipe
      lines = ["ruby/lib/tasker_core/client.rb:", "    # @!method #{name}(...)", "    #   @return ...",
               "    function :#{name}, #{signature.inspect}, #{answer}"]
      return lines.join("\n") if columns.size < 2

      lines += ["ruby/lib/tasker_core/types.rb (one row: answer TheRow instead of [TheRow]):",
                "  # Row of #{name}.", "  TheRow = Value.define(#{columns.map(&:inspect).join(", ")})"]
      lines.join("\n")
    end
  end

  # @return [Hash{Symbol => Described}] the functions of the extension
  def catalog
    rows = connection.query(<<~SQL)
      SELECT p.proname::text AS function, p.proretset AS set, a.name, format_type(a.type, NULL) AS type,
        a.mode IN ('o', 't') AS out, a.mode = 'i' AND a.position > p.pronargs - p.pronargdefaults AS optional
      FROM pg_catalog.pg_proc p
      LEFT JOIN LATERAL unnest(p.proargnames, coalesce(p.proallargtypes, p.proargtypes::oid[]),
                               coalesce(p.proargmodes, array_fill('i'::"char", ARRAY[p.pronargs::int])))
                WITH ORDINALITY AS a (name, type, mode, position) ON true
      WHERE p.pronamespace = 'tasker'::regnamespace AND p.prokind = 'f' AND p.prorettype <> 'trigger'::regtype
      ORDER BY p.proname, a.position
    SQL
    rows.group_by { |row| row.fetch(:function).to_sym }.to_h { |name, parts| [name, described(name, parts)] }
  end

  def described(name, rows)
    named = rows.select { |row| row.fetch(:name) }
    out, given = named.partition { |row| row.fetch(:out) }
    Described.new(
      name: name, columns: out.map { |row| row.fetch(:name).to_sym }, set: rows.first.fetch(:set),
      arguments: given.map do |row|
        [row.fetch(:name).to_sym, TYPES.fetch(row.fetch(:type), row.fetch(:type)), row.fetch(:optional) == true]
      end
    )
  end

  def test_every_function_has_a_method
    missing = catalog.except(*INTERNAL, *TaskerCore::Functions.table.keys)
    assert_empty missing.keys, "these functions have no method; add:\n\n#{missing.each_value.map(&:recipe).join("\n\n")}\n"
    assert_empty TaskerCore::Functions.table.keys - TaskerCore::Client.public_instance_methods
  end

  def test_every_method_has_a_function
    assert_empty TaskerCore::Functions.table.keys - catalog.keys, "declared in client.rb, but not in the extension"
  end

  def test_arguments_with_their_types_and_defaults
    catalog.except(*INTERNAL).each do |name, function|
      declared = TaskerCore::Functions.table[name] or next
      arguments = declared.arguments.map { |argument| [argument.name, argument.type, argument.optional] }
      assert_equal function.arguments, arguments, "ruby/lib/tasker_core/client.rb: the signature of #{name} is " \
                                                  "#{function.signature.inspect}"
    end
  end

  def test_columns_of_the_answers
    catalog.except(*INTERNAL).each do |name, function|
      answer = TaskerCore::Functions.table[name]&.answer
      next assert_operator(function.columns.size, :<, 2, "#{name} returns rows") if answer.is_a?(Symbol)
      next unless answer

      members = Array(answer).first.members - ADDED_BY_THE_GEM.fetch(name, [])
      assert_equal function.columns.sort, members.sort, "ruby/lib/tasker_core/types.rb: #{Array(answer).first.name} " \
                                                        "has other members than #{name} has columns"
    end
  end

  def test_every_sqlstate_of_the_extension_has_a_class
    raised = Dir[File.expand_path("../../../src/**/*.[ch]", __dir__)].flat_map do |file|
      File.read(file).scan(/MAKE_SQLSTATE\('T', ?'C', ?'(\d)', ?'(\d)', ?'(\d)'\)/).map { |digits| "TC#{digits.join}" }
    end
    skip "the extension's sources are not beside the gem" if raised.empty?
    known = TaskerCore::Errors::BY_SQLSTATE.keys.grep(/\ATC/)
    assert_empty raised.uniq - known, "add to BY_SQLSTATE in ruby/lib/tasker_core/errors.rb"
  end
end
