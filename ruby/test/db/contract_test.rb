# frozen_string_literal: true

require "test_helper"

# The gem's table of functions against the catalog, so that drift fails at once.
class ContractTest < DatabaseTest
  TYPES = { "integer" => "int", "integer[]" => "int[]", "double precision" => "float8",
            "timestamp with time zone" => "timestamptz" }.freeze

  def arguments_of(function)
    rows = connection.query(<<~SQL, [function.to_s])
      SELECT argument.name, format_type(argument.type, NULL) AS type
      FROM pg_catalog.pg_proc p
      CROSS JOIN LATERAL unnest(p.proargnames, coalesce(p.proallargtypes, p.proargtypes::oid[]),
                                coalesce(p.proargmodes, array_fill('i'::"char", ARRAY[p.pronargs::int])))
                 WITH ORDINALITY AS argument (name, type, mode, position)
      WHERE p.pronamespace = 'tasker'::regnamespace AND p.proname = $1::name AND argument.mode IN ('i', 'b')
      ORDER BY argument.position
    SQL
    rows.to_h { |row| [row.fetch(:name).to_sym, TYPES.fetch(row.fetch(:type), row.fetch(:type))] }
  end

  TaskerCore::Functions::TABLE.each do |function, arguments|
    define_method(:"test_#{function}") { assert_equal arguments, arguments_of(function) }
  end

  def test_every_function_has_a_method
    missing = TaskerCore::Functions::TABLE.keys - TaskerCore::Client.public_instance_methods
    assert_empty missing
  end
end
