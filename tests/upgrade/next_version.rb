# frozen_string_literal: true

# Makes a copy of the sources into the next version, 1.1, for the test of upgrades: what
# tests/upgrade/tasker_core--1.0--1.1.sql does to an installed 1.0 is done here to the
# install script, by other means, so that the two can be compared.
#
#   ruby tests/upgrade/next_version.rb DIRECTORY

require "fileutils"

directory = ARGV.fetch(0) { abort "which directory?" }
UPGRADE = File.expand_path("tasker_core--1.0--1.1.sql", __dir__)

# Each change has to find its place, else it tests nothing.
def change(text, place, with)
  abort "next_version.rb: #{place.inspect} is not in the sources" unless text.match?(place)
  text.sub!(place, with)
end

# The time stays, so that only the files that name the version are compiled again.
def rewrite(file)
  text = File.read(file)
  time = File.mtime(file)
  yield text
  File.write(file, text)
  File.utime(time, time, file)
end

view = File.read(UPGRADE)[/^CREATE VIEW tasker\.noted_workers.*?OWNER TO @extowner@;\n/m]
table = File.read(UPGRADE)[/^CREATE TABLE tasker\.notes.*?;\n/m]

script = File.read(File.join(directory, "tasker_core--1.0.sql"))
change(script, /(CREATE TABLE tasker\.workers \(.*?)(\n\) WITH)/m, "\\1,\n\tnote text\\2")
change(script, /(CREATE TABLE tasker\.step_attempts \(.*?)(\tPRIMARY KEY)/m, "\\1\tnote text,\n\\2")
change(script, /^COMMENT ON FUNCTION tasker\.library_version\(\) IS\n.*?;\n/m, <<~SQL)
  COMMENT ON FUNCTION tasker.library_version() IS 'version of the loaded library';

  CREATE FUNCTION tasker.schema_version() RETURNS text
  	AS 'MODULE_PATHNAME', 'tasker_library_version' LANGUAGE C STABLE PARALLEL SAFE;
  COMMENT ON FUNCTION tasker.schema_version() IS 'version of the schema, for tests';

  #{table}COMMENT ON TABLE tasker.notes IS 'notes';
  ALTER TABLE tasker.notes OWNER TO @extowner@;
  COMMENT ON COLUMN tasker.workers.note IS 'whatever its operator wants to remember';
  CREATE INDEX workers_note_idx ON tasker.workers (note);
  #{view}
SQL
change(script, /^SELECT pg_catalog\.pg_extension_config_dump\('tasker\.workers', ''\);\n/,
       "\\0SELECT pg_catalog.pg_extension_config_dump('tasker.notes', '');\n")
File.write(File.join(directory, "tasker_core--1.1.sql"), script)
FileUtils.cp(UPGRADE, directory)

# A script that forgot some of it; its version is never called, only compared.
forgetful = File.read(UPGRADE).gsub(/^COMMENT ON COLUMN.*\n|^CREATE INDEX.*\n|^REVOKE.*\n|^ALTER TABLE tasker\.step_attempts.*\n/, "")
File.write(File.join(directory, "tasker_core--1.0--1.1.forgetful.sql"), forgetful)

rewrite(File.join(directory, "src/tasker_core.h")) { |text| change(text, /^(#define TC_VERSION) "1\.0"/, '\1 "1.1"') }
rewrite(File.join(directory, "tasker_core.control")) { |text| change(text, /default_version = '1\.0'/, "default_version = '1.1'") }
Dir[File.join(directory, "src/**/*.c")].each do |source|
  FileUtils.rm_f(source.sub(/c\z/, "o")) if File.read(source).include?("TC_VERSION")
end
FileUtils.rm_f(Dir[File.join(directory, "*.{so,dylib}")]) # make would not miss an object beside a library that is newer than its source
