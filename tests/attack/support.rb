# frozen_string_literal: true

# What the attack tests share: connections as roles, a fingerprint of everything that
# belongs to the extension, and TAP.

require "pg"

URL = ENV.fetch("TASKER_TEST_URL") { abort "TASKER_TEST_URL names no database" }

# A connection that logged in as a role, and can become no other.
def connect_as(role)
  settings = PG::Connection.conninfo_parse(URL).to_h { |option| [option[:keyword].to_sym, option[:val]] }.compact
  settings[:user] = role if role
  connection = PG.connect(settings)
  connection.set_notice_processor { nil }
  connection
end

# Counts and prints.
class Tap
  def initialize = (@count = @failed = 0)

  def ok(passed, name, *details)
    @count += 1
    @failed += 1 unless passed
    puts "#{"not " unless passed}ok #{@count} - #{name.to_s.gsub(/\s+/, " ")[0, 150]}"
    details.each { |detail| puts "#   #{detail.to_s.gsub("\n", "\n#   ")}" } unless passed
    passed
  end

  def done
    puts "1..#{@count}"
    exit(@failed.zero? && @count.positive?)
  end
end

# Every row of every table of ours, and who owns and may use what: equal before and
# after an attempt that was refused. workers.last_seen may move.
class Fingerprint
  CATALOGS = <<~SQL
    SELECT md5(coalesce(string_agg(x, E'\\n' ORDER BY x), '')) FROM (
      SELECT concat_ws(' ', 'relation', c.relname, c.relowner, c.relacl::text, c.relrowsecurity, c.relhastriggers, c.relhasrules)
      FROM pg_class c WHERE c.relnamespace = 'tasker'::regnamespace
      UNION ALL SELECT concat_ws(' ', 'function', p.oid::regprocedure, p.proowner, p.proacl::text, p.prosrc, p.proconfig::text)
      FROM pg_proc p WHERE p.pronamespace = 'tasker'::regnamespace
      UNION ALL SELECT concat_ws(' ', 'schema', n.nspowner, n.nspacl::text) FROM pg_namespace n WHERE n.nspname = 'tasker'
      UNION ALL SELECT concat_ws(' ', 'trigger', t.tgname, t.tgrelid::regclass) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
      WHERE c.relnamespace = 'tasker'::regnamespace AND NOT t.tgisinternal
      UNION ALL SELECT concat_ws(' ', 'policy', p.polname, p.polrelid::regclass) FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
      WHERE c.relnamespace = 'tasker'::regnamespace
      UNION ALL SELECT concat_ws(' ', 'comment', d.classoid, d.objoid, d.description) FROM pg_description d WHERE d.objoid = 'tasker'::regnamespace
      UNION ALL SELECT concat_ws(' ', 'extension', e.extversion, e.extowner, e.extconfig::text) FROM pg_extension e WHERE e.extname = 'tasker_core'
      UNION ALL SELECT concat_ws(' ', 'member', d.classid, d.objid) FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
      WHERE d.refclassid = 'pg_extension'::regclass AND e.extname = 'tasker_core' AND d.deptype = 'e') s (x)
  SQL

  def initialize(connection)
    @connection = connection
    tables = connection.exec(<<~SQL).column_values(0)
      SELECT relname FROM pg_class WHERE relnamespace = 'tasker'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
        AND relname <> 'workers' ORDER BY 1
    SQL
    @rows = tables.map do |table|
      "(SELECT md5(coalesce(string_agg(r::text, E'\\n' ORDER BY r::text), '')) FROM tasker.#{connection.quote_ident(table)} r)"
    end.join(" || ")
  end

  def take = @connection.exec("SELECT #{@rows}").getvalue(0, 0) + @connection.exec(CATALOGS).getvalue(0, 0)
end

# The SQLSTATE that a command ended with, "00000" when it did not fail, and the message.
def outcome(connection, sql)
  connection.exec(sql)
  ["00000", ""]
rescue PG::Error => e
  [e.result&.error_field(PG::PG_DIAG_SQLSTATE) || "lost", e.message]
ensure
  connection.exec("ROLLBACK") if connection.status == PG::CONNECTION_OK && connection.transaction_status != PG::PQTRANS_IDLE
end
