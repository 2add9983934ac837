# frozen_string_literal: true

# docs/sql-reference.md comes from the database: pg_proc, the views, and COMMENT ON.
# Prints TAP: everything public has a comment, and the page is what it would be now.
#
#   ruby tests/docs/reference.rb            with TASKER_TEST_URL naming a database with the extension
#   ruby tests/docs/reference.rb --write    writes the page

require "pg"

PAGE = File.expand_path("../../docs/sql-reference.md", __dir__)
CONNECTION = PG.connect(ENV.fetch("TASKER_TEST_URL") { abort "TASKER_TEST_URL names no database" })

FUNCTIONS = <<~SQL
  SELECT p.proname AS name, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,
    CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END AS volatility,
    obj_description(p.oid, 'pg_proc') AS comment,
    (SELECT CASE WHEN cardinality(f.accesses) = 5 THEN 'any' ELSE array_to_string(f.accesses, ', ') END
        || CASE f.namespaces WHEN 'by_task' THEN '; tasks of other namespaces are unknown'
          WHEN 'by_step' THEN '; steps of other namespaces are unknown' WHEN 'by_function' THEN '; in the namespaces granted'
          WHEN 'all' THEN '; a grant for all namespaces' ELSE '' END
      FROM tasker.function_access() f WHERE f.function_name = p.proname) AS access
  FROM pg_proc p WHERE p.pronamespace = 'tasker'::regnamespace ORDER BY p.proname, arguments
SQL

RELATIONS = <<~SQL
  SELECT c.relname AS name, CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END AS kind,
    obj_description(c.oid, 'pg_class') AS comment,
    (SELECT string_agg('| `' || a.attname || '` | ' || format_type(a.atttypid, a.atttypmod) || ' | '
        || coalesce(col_description(c.oid, a.attnum), '') || ' |', E'\\n' ORDER BY a.attnum)
      FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
  FROM pg_class c WHERE c.relnamespace = 'tasker'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition ORDER BY c.relkind = 'v' DESC, c.relname
SQL

functions = CONNECTION.exec(FUNCTIONS).to_a
relations = CONNECTION.exec(RELATIONS).to_a

def list(arguments) = arguments.split(/, (?=[a-z_]+ )/).map { |argument| "    #{argument}" }.join(",\n")

def signature(function)
  result = function["result"].sub(/\ATABLE\((.*)\)\z/m) { "TABLE(\n#{list(Regexp.last_match(1))})" }
  arguments = function["arguments"].empty? ? "" : "\n#{list(function["arguments"])}"
  "tasker.#{function["name"]}(#{arguments})\n  → #{result}"
end

# "what it does. Errors: ..." reads better as two paragraphs.
def sentences(comment)
  text, errors = comment.to_s.split(/\s*Errors: /, 2)
  text = "#{text[0].to_s.upcase}#{text[1..]}"
  text += "." unless text.end_with?(".")
  errors ? "#{text}\n\nErrors: #{errors}." : text
end

page = +"# SQL reference\n\nMade from the comments in the database by `script/test docs`; see `tests/docs/reference.rb`.\n\n## Functions\n"
functions.each { |f| page << "\n### #{f["name"]}\n\n```\n#{signature(f)}\n```\n\n#{f["volatility"].capitalize}. #{sentences(f["comment"])}\n\nAccess: #{f["access"]}.\n" }
%w[view table].each do |kind|
  page << "\n## #{kind.capitalize}s\n"
  relations.select { |r| r["kind"] == kind }.each do |r|
    page << "\n### #{r["name"]}\n\n#{sentences(r["comment"])}\n\n| column | type | |\n|---|---|---|\n#{r["columns"]}\n"
  end
end

if ARGV == ["--write"]
  File.write(PAGE, page)
  exit
end

tests = (functions.map { |f| ["function #{f["name"]} has a comment", f["comment"]] } +
         relations.map { |r| ["#{r["kind"]} #{r["name"]} has a comment", r["comment"]] }).to_h
tests["docs/sql-reference.md is up to date (ruby tests/docs/reference.rb --write)"] = File.exist?(PAGE) && File.read(PAGE) == page
tests.each.with_index(1) { |(name, good), number| puts "#{"not " unless good}ok #{number} - #{name}" }
puts "1..#{tests.size}"
exit 1 unless tests.values.all?
