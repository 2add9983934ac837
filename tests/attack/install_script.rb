# frozen_string_literal: true

# What an install script that others run as owner or superuser must not do; what pgspot
# looks for, and more. Prints TAP. Fails closed: a statement that is not understood is a
# finding. The names that functions and views found when they were made are looked up in
# the catalog, where nothing depends on how the text was read.
#
#   ruby tests/attack/install_script.rb    with TASKER_TEST_URL naming a database for it, as superuser
#
# TASKER_SCRIPT names another script to look at, for the test of this test.

require "digest"
require "strscan"
require_relative "support"

TAP = Tap.new
ROOT = File.expand_path("../..", __dir__)
SCRIPTS = ENV.key?("TASKER_SCRIPT") ? [ENV["TASKER_SCRIPT"]] : Dir[File.join(ROOT, "tasker_core--*.sql")].sort

TOKEN = %r{--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\$(?<tag>\w*)\$.*?\$\k<tag>\$|"(?:[^"]|"")*"|;|[^'"$;/-]+|.}m

# Statements with their line; comments and the guard line are taken away, strings stay.
def statements(text)
  scanner = StringScanner.new(text.sub(/^\\echo .*$/, ""))
  found = []
  current = +""
  line = start = 1
  while (token = scanner.scan(TOKEN))
    start = line + token[/\A\s*/].count("\n") if current.strip.empty?
    line += token.count("\n")
    case token
    when /\A--/, %r{\A/\*} then current << " "
    when ";"
      found << [start, current.strip.gsub(/\s+/, " ")] unless current.strip.empty?
      current = +""
    else current << token
    end
  end
  found << [start, "#{current.strip} (unterminated)"] unless current.strip.empty?
  found
end

NAME = /[a-z_]+/
# Everything that may stand in the script; what is none of these is a finding.
ALLOWED = [
  /\ACREATE SCHEMA tasker AUTHORIZATION @extowner@\z/,
  /\ACREATE (TABLE|SEQUENCE|VIEW|FUNCTION) tasker\.#{NAME}\b/,
  /\ACREATE (UNIQUE )?INDEX #{NAME} ON tasker\.#{NAME} /,
  /\ACOMMENT ON (SCHEMA tasker|(TABLE|VIEW|COLUMN|FUNCTION) tasker\.)/,
  /\AINSERT INTO tasker\.settings \(name, value\) SELECT 'shard_count', pg_catalog\.current_setting/,
  /\ASELECT pg_catalog\.pg_extension_config_dump\('tasker\.#{NAME}', ''\)\z/,
  /\AALTER (TABLE|VIEW|SEQUENCE) tasker\.#{NAME} OWNER TO @extowner@\z/,
  /\AALTER TABLE tasker\.#{NAME} ENABLE ROW LEVEL SECURITY\z/,
  /\AALTER TABLE tasker\.#{NAME} (ATTACH PARTITION|SET \(|ADD CONSTRAINT) ?/,
  /\AREVOKE ALL ON ALL FUNCTIONS IN SCHEMA tasker FROM PUBLIC\z/,
  /\AGRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA tasker TO @extowner@ WITH GRANT OPTION\z/
].freeze
# The one block of code: it makes the members of the rings of history. Whoever changes it reads it
# again, and names it anew.
RINGS = "110f087aac26f379334ae5b0215f2efaed05ea417ca9c1e01e4a05289240e5b3"

FORBIDDEN = { /\bOR REPLACE\b/i => "replaces what somebody else may have made", /\bIF NOT EXISTS\b/i => "takes over what somebody else may have made",
              /\bSECURITY DEFINER\b/i => "runs with its owner's rights", /\bTO PUBLIC\b/i => "grants to everybody",
              /\bSET search_path\b/i => "depends on search_path", /\bDO \$/ => "runs code while installing", /\bEXECUTE format\b/i => "runs text",
              /\bCREATE (CAST|OPERATOR|EVENT TRIGGER|RULE|POLICY|LANGUAGE|EXTENSION|TRIGGER)\b/i => "is looked up or fired where nobody expects it",
              /\bLANGUAGE (plpgsql|plpython\w*|plperl\w*)\b/i => "resolves names when it runs", /\bFORCE ROW LEVEL\b/i => "keeps the owner from dumping" }.freeze

SCRIPTS.each do |script|
  list = statements(File.read(script))
  name = File.basename(script)
  TAP.ok(list.size > 100, "#{name}: #{list.size} statements were read")
  findings = list.flat_map do |line, statement|
    next [] if Digest::SHA256.hexdigest(statement) == RINGS

    bare = statement.gsub(/'(?:[^']|'')*'/, "''")
    reasons = FORBIDDEN.select { |pattern, _| bare.match?(pattern) }.values
    reasons << "is no statement that this check knows" unless ALLOWED.any? { |pattern| statement.match?(pattern) }
    reasons.map { |reason| "line #{line}: #{statement[0, 90]} ... #{reason}" }
  end
  TAP.ok(findings.empty?, "#{name}: nothing in it that an attacker could use", *findings.first(20))

  made = list.filter_map { |_, s| s[/\ACREATE (TABLE|VIEW|SEQUENCE) tasker\.(#{NAME})/] && [Regexp.last_match(1), Regexp.last_match(2)] }
  rings = list.filter_map { |_, s| s[/\ACREATE TABLE tasker\.(#{NAME}) .*\bPARTITION BY\b/m, 1] } # hold no row: their members are looked for below
  owned = list.filter_map { |_, s| s[/\AALTER (TABLE|VIEW|SEQUENCE) tasker\.(#{NAME}) OWNER TO @extowner@/] && [Regexp.last_match(1), Regexp.last_match(2)] }
  TAP.ok((made - owned).empty?, "#{name}: every relation is given to whoever installs it", (made - owned).inspect)
  dumped = list.filter_map { |_, s| s[/pg_extension_config_dump\('tasker\.(#{NAME})'/, 1] }
  missing = made.reject { |kind, _| kind == "VIEW" }.map(&:last) - dumped - rings
  TAP.ok(missing.empty?, "#{name}: every table and sequence is dumped", missing.inspect)
  commented = list.filter_map { |_, s| s[/\ACOMMENT ON (?:TABLE|VIEW|FUNCTION) tasker\.(#{NAME})/, 1] }
  uncommented = list.filter_map { |_, s| s[/\ACREATE (?:TABLE|VIEW|FUNCTION) tasker\.(#{NAME})(?! PARTITION)/, 1] unless s.include?(" PARTITION OF ") } - commented
  TAP.ok(uncommented.empty?, "#{name}: every table, view and function says what it is", uncommented.inspect)
end
if ENV.key?("TASKER_SCRIPT")
  TAP.done
end

# The check finds what it is for.
require "tempfile"
[["CREATE OR REPLACE FUNCTION tasker.x() RETURNS int AS 'MODULE_PATHNAME' LANGUAGE C", "OR REPLACE"], ["CREATE TABLE IF NOT EXISTS tasker.x ()", "IF NOT EXISTS"],
 ["CREATE FUNCTION tasker.x() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'", "SECURITY DEFINER"], ["GRANT SELECT ON tasker.tasks TO PUBLIC", "a grant to PUBLIC"],
 ["CREATE TABLE tasks ()", "a name without a schema"], ["DO $$ BEGIN END $$", "a block"], ["CREATE FUNCTION tasker.x() RETURNS int AS 'MODULE_PATHNAME' LANGUAGE C", "a function without a comment"],
 ["CREATE TABLE tasker.x (a int)", "a table without an owner"], ["SELECT set_config('a', 'b', false)", "an unqualified call"],
 ["CREATE TRIGGER t BEFORE INSERT ON tasker.tasks EXECUTE FUNCTION tasker.x()", "a trigger"], ["ALTER TABLE tasker.tasks FORCE ROW LEVEL SECURITY", "forced row security"]].each do |statement, what|
  Tempfile.create(["planted", ".sql"]) do |file|
    file.write(File.read(SCRIPTS.last), "\n#{statement};\n")
    file.close
    clean = system({ "TASKER_SCRIPT" => file.path, "TASKER_TEST_URL" => URL }, RbConfig.ruby, __FILE__, out: File::NULL, err: File::NULL)
    TAP.ok(clean == false, "the check finds #{what}")
  end
end

# In the catalog: where names lead to, whatever the script looks like, and whatever stood in
# the way while it was installed.
CONNECTION = connect_as(nil)
CONNECTION.exec(<<~SQL)
  DROP EXTENSION IF EXISTS tasker_core CASCADE;
  DROP SCHEMA IF EXISTS planted CASCADE;
  CREATE SCHEMA planted;
  CREATE FUNCTION planted.equal(a bigint, b bigint) RETURNS boolean LANGUAGE sql AS 'SELECT false';
  CREATE OPERATOR planted.= (FUNCTION = planted.equal, LEFTARG = bigint, RIGHTARG = bigint);
  CREATE FUNCTION planted.times(a bigint, b int) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint';
  CREATE OPERATOR planted.* (FUNCTION = planted.times, LEFTARG = bigint, RIGHTARG = int);
  CREATE FUNCTION planted.nextval(regclass) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint';
  CREATE FUNCTION planted.coalesce_it(anyelement) RETURNS anyelement LANGUAGE sql AS 'SELECT $1';
  CREATE FUNCTION planted.cardinality(anyarray) RETURNS int LANGUAGE sql AS 'SELECT 0';
  CREATE FUNCTION planted.concat_ws(text, text, text) RETURNS text LANGUAGE sql AS 'SELECT ''planted''';
  CREATE FUNCTION planted.octet_length(text) RETURNS int LANGUAGE sql AS 'SELECT 50';
  CREATE DOMAIN planted.text AS pg_catalog.text;
  CREATE DOMAIN planted.jsonb AS pg_catalog.jsonb;
  SET search_path = planted, pg_catalog, public;
  CREATE EXTENSION tasker_core;
  RESET search_path;
SQL
strays = CONNECTION.exec(<<~SQL).values
  SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid), pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid)
  FROM pg_depend d JOIN pg_depend m ON (m.classid, m.objid) = (d.classid, d.objid) OR (m.classid = 'pg_class'::regclass AND m.objid = (
      SELECT ev_class FROM pg_rewrite WHERE oid = d.objid AND d.classid = 'pg_rewrite'::regclass))
  JOIN pg_extension e ON e.oid = m.refobjid AND m.refclassid = 'pg_extension'::regclass AND e.extname = 'tasker_core' AND m.deptype = 'e'
  WHERE (pg_identify_object(d.refclassid, d.refobjid, d.refobjsubid)).schema NOT IN ('tasker', 'pg_catalog')
SQL
TAP.ok(strays.empty?, "installed behind planted functions, operators and types, nothing of it refers to one", strays.inspect)
planted = CONNECTION.exec("SELECT a.attrelid::regclass, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
  WHERE c.relnamespace = 'tasker'::regnamespace AND t.typnamespace = 'planted'::regnamespace").values
TAP.ok(planted.empty?, "no column has a planted type", planted.inspect)
undumped = CONNECTION.exec("SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'tasker'::regnamespace AND c.relkind IN ('r', 'S') AND c.oid <> ALL (
  SELECT unnest(extconfig) FROM pg_extension WHERE extname = 'tasker_core')").values
TAP.ok(undumped.empty?, "every table that holds rows, members of rings too, and every sequence is dumped", undumped.inspect)
others = CONNECTION.exec("SELECT c.relname FROM pg_class c, pg_namespace n WHERE n.nspname = 'tasker' AND c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'S', 'v') AND c.relowner <> n.nspowner").values
TAP.ok(others.empty?, "every relation belongs to the owner of the schema", others.inspect)
CONNECTION.exec("DROP EXTENSION tasker_core CASCADE; DROP SCHEMA planted CASCADE")
TAP.done
