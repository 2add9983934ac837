# shellcheck shell=bash
# Finds what building and running needs, and installs by apt what is missing. Nothing that is
# already there is installed again or replaced.

OLDEST_POSTGRES=15
NEWEST_POSTGRES=18

# find_postgres: sets PG_CONFIG to a supported PostgreSQL that can run a server and build
# extensions: the one PG_CONFIG names, else the newest of Debian's layout.
find_postgres() {
  local major
  if [[ -n ${PG_CONFIG:-} ]]; then
    complete_postgres "$PG_CONFIG" ||
      die "PG_CONFIG=$PG_CONFIG is no PostgreSQL with server and development files"
    return
  fi
  for ((major = NEWEST_POSTGRES; major >= OLDEST_POSTGRES; major--)); do
    if complete_postgres "/usr/lib/postgresql/$major/bin/pg_config"; then
      PG_CONFIG=/usr/lib/postgresql/$major/bin/pg_config
      return
    fi
  done
  return 1
}

# older_postgres: prints the pg_config of another PostgreSQL, older than PG_CONFIG's.
older_postgres() {
  local major prefix
  if [[ -n ${OLD_PG_CONFIG:-} ]]; then
    printf '%s\n' "$OLD_PG_CONFIG"
    return
  fi
  for ((major = OLDEST_POSTGRES; major < $(postgres_major); major++)); do
    for prefix in /usr/lib /usr/local/lib; do
      if complete_postgres "$prefix/postgresql/$major/bin/pg_config"; then
        printf '%s\n' "$prefix/postgresql/$major/bin/pg_config"
        return
      fi
    done
  done
  return 1
}

complete_postgres() { # complete_postgres PG_CONFIG
  [[ -x $(command -v "$1") ]] &&
    [[ -x $("$1" --bindir)/postgres && -x $("$1" --bindir)/psql ]] &&
    [[ -f $("$1" --includedir-server)/postgres.h && -f $("$1" --pgxs) ]]
}

# find_ruby: sets RUBY to a Ruby that is new enough and has the pg driver.
find_ruby() {
  local candidate
  for candidate in "${RUBY:-}" ruby /usr/bin/ruby; do
    if [[ -n $candidate ]] && "$candidate" -e \
      'require "pg"; exit Gem::Version.new(RUBY_VERSION) >= Gem::Version.new("3.1")' 2>/dev/null; then
      RUBY=$candidate
      return
    fi
  done
  return 1
}

# The libraries the gem can work with. Another Ruby than Debian's brings its own or goes without:
# what needs them is then skipped.
RUBY_LIBRARIES=(active_record active_job rails sequel connection_pool yard)
has_ruby_libraries() {
  local library
  [[ $(readlink -f "$(command -v "$RUBY")") == /usr/bin/* ]] || return 0
  for library in "${RUBY_LIBRARIES[@]}"; do
    "$RUBY" -W0 -e 'require ARGV.first' "$library" 2>/dev/null || return 1
  done
}

has_minitest() { "$RUBY" -e 'require "minitest"' 2>/dev/null; }
has_compiler() { command -v gcc >/dev/null && command -v make >/dev/null && [[ -f /usr/include/stdio.h ]]; }

# pg_cron of the PostgreSQL that was found; not every release has a package of it.
has_cron() { [[ -f $("$PG_CONFIG" --sharedir)/extension/pg_cron.control ]]; }
postgres_major() { "$PG_CONFIG" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/'; }

# The tests of the official JSON Schema Test Suite, a directory for each draft.
JSON_SCHEMA_SUITE=/usr/share/json-schema-test-suite/tests

# require_packages THING...: THING is build, server, ruby, minitest, ruby_libraries json_schema_suite or cron. Afterwards
# PG_CONFIG and RUBY are set and exported for the things that were asked for.
require_packages() {
  local missing=()
  missing_packages "$@"
  if ((${#missing[@]})); then
    install_packages "$@"
    missing_packages "$@"
    ((${#missing[@]} == 0)) || die "still missing after the installation: ${missing[*]}"
  fi
  export PG_CONFIG RUBY
}

# missing_packages THING...: sets the caller's array "missing" to package names.
missing_packages() {
  local thing major
  missing=()
  for thing in "$@"; do
    case $thing in
      build) has_compiler || missing+=(gcc make libc6-dev) ;;
      server)
        if ! find_postgres; then
          major=$(packaged_postgres)
          missing+=("postgresql-$major" "postgresql-server-dev-$major")
        fi
        ;;
      ruby) find_ruby || missing+=(ruby ruby-pg) ;;
      json_schema_suite) [[ -d $JSON_SCHEMA_SUITE/draft7 ]] || missing+=(json-schema-test-suite) ;;
      ruby_libraries)
        { find_ruby && has_ruby_libraries; } ||
          missing+=(ruby-activerecord ruby-activejob ruby-railties ruby-sequel ruby-connection-pool yard)
        ;;
      cron) has_cron || missing+=("postgresql-$(postgres_major)-cron") ;;
      minitest) { find_ruby && has_minitest; } || missing+=(ruby-minitest) ;;
    esac
  done
}

# packaged_postgres: the major version to install: of a server that is here without its
# development files, else what the release has as its default.
packaged_postgres() {
  local major
  for ((major = NEWEST_POSTGRES; major >= OLDEST_POSTGRES; major--)); do
    if [[ -x /usr/lib/postgresql/$major/bin/postgres ]]; then
      printf '%s' "$major"
      return
    fi
  done
  major=$(apt-cache depends postgresql 2>/dev/null |
    sed -n 's/^ *Depends: postgresql-\([0-9]*\)$/\1/p' | head -n 1)
  printf '%s' "${major:-$OLDEST_POSTGRES}"
}

install_packages() { # install_packages THING...
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120)
  command -v apt-get >/dev/null ||
    die "missing: ${missing[*]} (names as in Debian). There is no apt-get here to install them; please do it yourself."
  ((EUID == 0)) || command -v sudo >/dev/null ||
    die "missing: ${missing[*]}. Neither root nor sudo; please run: apt-get install ${missing[*]}"

  say "Refreshing the package lists ..."
  if ! logged "$WORK/apt-update.log" as_root "${apt[@]}" update; then
    warn "going on with the package lists there are"
  fi
  missing_packages "$@"               # the lists may name another PostgreSQL now
  say "Installing ${missing[*]} ..."
  without_services logged "$WORK/apt-install.log" \
    as_root "${apt[@]}" install --no-install-recommends -y "${missing[@]}" ||
    die "apt could not install: ${missing[*]}. This needs the network and Debian's archive (or the packages installed beforehand)."
}

# optional_packages PACKAGE...: what some tests would like to have. They say so and are skipped without it, so nothing
# here is an error. Only the download may take its time: a half-done installation would be worse than none.
optional_packages() {
  local package wanted=() apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120)
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || wanted+=("$package")
  done
  ((${#wanted[@]})) && command -v apt-get >/dev/null || return 0
  ((EUID == 0)) || sudo -n true 2>/dev/null || return 0
  as_root "${apt[@]}" update >/dev/null 2>&1 || true
  for package in "${wanted[@]}"; do
    if as_root timeout 240 "${apt[@]}" install --download-only --no-install-recommends -y "$package" >/dev/null 2>&1; then
      say "Installing $package ..."
      without_services as_root "${apt[@]}" install --no-install-recommends -y "$package" >/dev/null 2>&1 || true
      case $package in
        pgbouncer) as_root update-rc.d "$package" disable >/dev/null 2>&1 || true ;;   # not at the next boot either
      esac
    fi
  done
}

# without_services COMMAND...: Debian's packages create and start servers of their own when they are
# installed, which nobody asked for here.
MAIN_CLUSTER_SETTING=/etc/postgresql-common/createcluster.d/tasker-core.conf
SERVICE_POLICY=/usr/sbin/policy-rc.d
without_services() {
  local status=0
  on_exit forget_main_cluster_setting
  as_root mkdir -p "${MAIN_CLUSTER_SETTING%/*}"
  printf 'create_main_cluster = false\n' | as_root tee "$MAIN_CLUSTER_SETTING" >/dev/null
  if [[ ! -e $SERVICE_POLICY ]]; then
    on_exit forget_service_policy
    printf '#!/bin/sh\n# tasker_core\nexit 101\n' | as_root tee "$SERVICE_POLICY" >/dev/null
    as_root chmod 755 "$SERVICE_POLICY"
  fi
  "$@" || status=$?
  forget_service_policy
  forget_main_cluster_setting
  return "$status"
}

forget_service_policy() {
  if grep -qs '^# tasker_core$' "$SERVICE_POLICY"; then as_root rm -f "$SERVICE_POLICY"; fi
}

forget_main_cluster_setting() {
  if [[ -f $MAIN_CLUSTER_SETTING ]]; then
    as_root rm -f "$MAIN_CLUSTER_SETTING"
    as_root rmdir -p --ignore-fail-on-non-empty "${MAIN_CLUSTER_SETTING%/*}"
  fi
}
