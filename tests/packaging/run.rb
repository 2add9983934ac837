# frozen_string_literal: true

# What is shipped: META.json for PGXN, the archive, the gem, the Debian package. Prints TAP. Works in a copy.
#
#   ruby tests/packaging/run.rb [SOURCE]

require "json"
require "open3"
require "tmpdir"

SOURCE = File.expand_path(ARGV.fetch(0, File.join(__dir__, "../..")))
SEMVER = /\A(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?\z/
LICENSES = %w[agpl_3 apache_1_1 apache_2_0 artistic_1 artistic_2 bsd freebsd gfdl_1_2 gfdl_1_3 gpl_1 gpl_2 gpl_3 lgpl_2_1 lgpl_3_0 mit mozilla_1_0
              mozilla_1_1 openssl perl_5 postgresql qpl_1_0 ssleay sun zlib open_source restricted unrestricted unknown].freeze

def sh(*command, chdir: SOURCE, env: {})
  output, status = Open3.capture2e(env, *command, chdir: chdir)
  raise "#{command.join(" ")}: #{output.lines.last(15).join}" unless status.success?

  output
end

def here?(command) = ENV.fetch("PATH").split(":").any? { |path| File.executable?(File.join(path, command)) }

# The fields that PGXN Meta Spec 1.0.0 asks for, and what they have to be.
def meta_faults(meta)
  text = %w[abstract name].map { |key| "#{key} is no text" unless meta[key].is_a?(String) && !meta[key].empty? }
  provides = meta["provides"].is_a?(Hash) ? meta["provides"] : {}
  [*text, ("name has no place in a path" unless meta["name"].to_s.match?(%r{\A[^\s/\\]{2,}\z})),
   ("version is not semantic" unless meta["version"].to_s.match?(SEMVER)),
   ("maintainer is missing" unless [String, Array].any? { |kind| meta["maintainer"].is_a?(kind) } && !meta["maintainer"].empty?),
   ("license is unknown" unless Array(meta["license"].is_a?(Hash) ? "open_source" : meta["license"]).all? { |name| LICENSES.include?(name) }),
   ("release_status is #{meta["release_status"]}" unless [nil, "stable", "testing", "unstable"].include?(meta["release_status"])),
   ("meta-spec is not 1.0.0" unless meta.dig("meta-spec", "version") == "1.0.0"),
   ("provides nothing" if provides.empty?),
   *provides.flat_map do |name, what|
     [("#{name}: version" unless what["version"].to_s.match?(SEMVER)), ("#{name}: no file #{what["file"]}" unless File.file?(File.join(SOURCE, what["file"].to_s))),
      ("#{name}: no docfile #{what["docfile"]}" unless what["docfile"].nil? || File.file?(File.join(SOURCE, what["docfile"])))]
   end,
   *(meta.dig("prereqs", "runtime", "requires") || {}).map { |name, version| "prereq #{name}: #{version}" unless version.to_s == "0" || version.to_s.match?(SEMVER) }].compact
end

TESTS = {
  "META.json is what PGXN asks for" => lambda do |_|
    meta = JSON.parse(File.read(File.join(SOURCE, "META.json")))
    faults = meta_faults(meta)
    raise faults.join("; ") if faults.any?
    raise "faults are not seen" if meta_faults(meta.merge("version" => "1.0", "license" => "mine", "provides" => {})).size < 3
  end,
  "make dist holds what building needs, and no more" => lambda do |directory|
    next "no git here" unless here?("git")

    copy = File.join(directory, "dist")
    sh("sh", "-c", "mkdir '#{copy}' && tar --exclude-vcs --exclude='*.o' --exclude='*.so' -cf - . | tar -C '#{copy}' --no-same-owner -xf -")
    identity = { "GIT_CONFIG_GLOBAL" => File::NULL, "GIT_AUTHOR_NAME" => "x", "GIT_AUTHOR_EMAIL" => "x@example.invalid", "GIT_COMMITTER_NAME" => "x", "GIT_COMMITTER_EMAIL" => "x@example.invalid" }
    [%w[git init -q], %w[git add -A], %w[git commit -qm x]].each { |command| sh(*command, chdir: copy, env: identity) }
    sh("make", "-s", "dist", chdir: copy, env: { "PG_CONFIG" => ENV["PG_CONFIG"] || "pg_config" }.merge(identity))
    version = JSON.parse(File.read(File.join(SOURCE, "META.json"))).fetch("version")
    zip = File.binread(File.join(copy, "tasker_core-#{version}.zip"))
    %w[META.json Makefile tasker_core.control tasker_core--1.0.sql src/tasker_core.c README.md].each do |name|
      raise "#{name} is missing" unless zip.include?("tasker_core-#{version}/#{name}")
    end
    raise "built files are in it" if zip.match?(/tasker_core-#{version}\/[\w\/]+\.(o|so)\b/n)
  end,
  "the gem builds, installs and runs" => lambda do |directory|
    copy = File.join(directory, "gem")
    sh("cp", "-r", File.join(SOURCE, "ruby"), copy)
    sh(RbConfig.ruby, "-S", "gem", "build", "tasker_core.gemspec", "-o", "../tasker_core.gem", chdir: copy)
    home = File.join(directory, "home")
    sh(RbConfig.ruby, "-S", "gem", "install", "--local", "--ignore-dependencies", "--no-document", "--install-dir", home, "tasker_core.gem", chdir: directory)
    installed = Dir[File.join(home, "gems/tasker_core-*")].first
    missing = Dir[File.join(SOURCE, "ruby/{lib,exe}/**/*")].select { |path| File.file?(path) }.map { |path| path.delete_prefix("#{SOURCE}/ruby/") }
                                                           .reject { |path| File.file?(File.join(installed, path)) }
    raise "missing in the gem: #{missing.join(", ")}" if missing.any?
    said = sh(RbConfig.ruby, "-I", File.join(installed, "lib"), File.join(installed, "exe/tasker"), "version")
    raise said unless said.start_with?("tasker_core ")
  end,
  "dpkg-buildpackage makes a package with the extension" => lambda do |directory|
    next "no dpkg-buildpackage with debhelper here" unless here?("dpkg-buildpackage") && here?("dh")

    sh(File.join(SOURCE, "script/deb"), directory, env: { "SKIP_BUILD_DEPENDS" => "1", "DEB_BUILD_OPTIONS" => "noautodbgsym parallel=2" })
    package = Dir[File.join(directory, "postgresql-*-tasker-core_*.deb")].first or raise "no package"
    files = sh("dpkg-deb", "--contents", package)
    %w[tasker_core.so tasker_core.control tasker_core--1.0.sql README.md].each { |name| raise "#{name} is missing" unless files.match?(%r{/#{Regexp.escape(name)}(\.gz)?$}) }
  end
}.freeze

failures = TESTS.each.with_index(1).count do |(name, test), number|
  skipped = Dir.mktmpdir { |directory| test.call(directory) }
  puts "ok #{number} - #{name}#{" # SKIP #{skipped}" if skipped.is_a?(String)}"
  false
rescue StandardError => e
  puts "not ok #{number} - #{name}", e.message.gsub(/^/, "# ")
  true
end
puts "1..#{TESTS.size}"
exit 1 unless failures.zero?
