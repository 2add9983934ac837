# shellcheck shell=bash
# A private PostgreSQL: built against, installed into and run from $WORK. Neither the system's
# PostgreSQL nor a server that happens to run is touched, and removing $WORK removes all of it.

# build_extension [MAKE_ARGUMENT...]
build_extension() {
  make -C "$WORK/src" -s -j "$(nproc)" PG_CONFIG="$PG_CONFIG" "$@"
}

# stage_postgres: an installation of PostgreSQL with this extension in $WORK/stage. PostgreSQL
# finds its files relative to its own executable, so copies of the executables and links to the
# rest make one that can be written to without being root.
stage_postgres() {
  local bindir directory
  STAGE=$WORK/stage
  bindir=$("$PG_CONFIG" --bindir)
  make -C "$WORK/src" -s PG_CONFIG="$PG_CONFIG" install DESTDIR="$STAGE"
  mkdir -p "$STAGE$bindir"
  cp "$bindir/postgres" "$bindir/initdb" "$bindir/pg_ctl" "$STAGE$bindir/"
  for directory in "$("$PG_CONFIG" --sharedir)" "$("$PG_CONFIG" --pkglibdir)"; do
    cp -rsn "$directory/." "$STAGE$directory/"
  done
  SERVER_BIN=$STAGE$bindir
  PATH=$bindir:$PATH
}

# as_server COMMAND...: PostgreSQL refuses to run as root.
as_server() {
  if ((EUID == 0)); then
    (cd "$WORK" && runuser -u "${SERVER_USER:-postgres}" -- "$@")
  else
    (cd "$WORK" && "$@")
  fi
}

# as_server_command: the words before a command that as_server would run.
as_server_command() { ((EUID != 0)) || printf 'runuser -u %s --' "${SERVER_USER:-postgres}"; }

# start_cluster [SETTING...]: a new cluster that listens on a socket in $WORK only, where nobody
# but its owner and root can reach it; so it asks for no password. Points libpq's environment at it.
start_cluster() {
  CLUSTER=$WORK/cluster
  on_exit stop_cluster
  forget_libpq_environment            # the server would take its port from there, too
  run_cluster "$CLUSTER" "$@"
  export PGHOST=$CLUSTER/socket PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
}

# start_other_cluster [SETTING...]: a second one, for tests that need two servers.
start_other_cluster() {
  OTHER_CLUSTER=$WORK/other_cluster
  on_exit stop_other_cluster
  run_cluster "$OTHER_CLUSTER" "$@"
}

# start_background_cluster [SETTING...]: a third one, whose settings and processes its tests meddle with.
start_background_cluster() {
  BACKGROUND_CLUSTER=$WORK/background_cluster
  on_exit stop_background_cluster
  run_cluster "$BACKGROUND_CLUSTER" "$@"
}

# start_standby CLUSTER: a standby of a cluster that runs, with streaming replication.
start_standby() {
  STANDBY_CLUSTER=$WORK/standby_cluster
  on_exit stop_standby
  mkdir -m 700 "$STANDBY_CLUSTER"
  if ((EUID == 0)); then chown "${SERVER_USER:-postgres}" "$STANDBY_CLUSTER"; fi
  as_server mkdir -m 700 "$STANDBY_CLUSTER/socket"
  logged "$WORK/basebackup.log" as_server "$("$PG_CONFIG" --bindir)/pg_basebackup" -h "$1/socket" -p 5432 \
    -U postgres -D "$STANDBY_CLUSTER/data" -X stream -R -c fast --no-sync
  printf '%s\n' "unix_socket_directories = '$STANDBY_CLUSTER/socket'" |
    as_server tee -a "$STANDBY_CLUSTER/data/postgresql.conf" >/dev/null
  logged "$WORK/pg_ctl.log" as_server "$SERVER_BIN/pg_ctl" -D "$STANDBY_CLUSTER/data" \
    -l "$STANDBY_CLUSTER/server.log" -w start
}

run_cluster() { # run_cluster DIRECTORY [SETTING...]
  local directory=$1 setting
  shift
  mkdir -m 700 "$directory"
  if ((EUID == 0)); then
    id "${SERVER_USER:-postgres}" >/dev/null 2>&1 ||
      die "root needs another user to run PostgreSQL as: no user \"${SERVER_USER:-postgres}\"; name one in SERVER_USER"
    chown "${SERVER_USER:-postgres}" "$directory"
  fi
  as_server mkdir -m 700 "$directory/socket"
  logged "$WORK/initdb.log" as_server "$SERVER_BIN/initdb" -D "$directory/data" \
    -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync
  for setting in "listen_addresses = ''" "unix_socket_directories = '$directory/socket'" "$@"; do
    printf '%s\n' "$setting"
  done | as_server tee -a "$directory/data/postgresql.conf" >/dev/null
  if ! logged "$WORK/pg_ctl.log" as_server "$SERVER_BIN/pg_ctl" -D "$directory/data" \
    -l "$directory/server.log" -w start; then
    tail -n 20 "$directory/server.log" >&2
    return 1
  fi
}

stop_cluster() { halt_cluster "${CLUSTER:-}"; }
stop_other_cluster() { halt_cluster "${OTHER_CLUSTER:-}"; }
stop_background_cluster() { halt_cluster "${BACKGROUND_CLUSTER:-}"; }

stop_standby() { halt_cluster "${STANDBY_CLUSTER:-}"; }

halt_cluster() { # halt_cluster DIRECTORY
  if [[ -f $1/data/postmaster.pid ]]; then
    as_server "$SERVER_BIN/pg_ctl" -D "$1/data" -m immediate -w stop >/dev/null 2>&1 || true
  fi
}

# The caller's PGSERVICE, PGHOSTADDR, PGOPTIONS, ... are meant for another server.
forget_libpq_environment() {
  local variable
  for variable in "${!PG@}"; do
    [[ $variable == PG_CONFIG ]] || unset "$variable"
  done
}

# cluster_url DATABASE [SOCKET_DIRECTORY]
cluster_url() {
  printf 'postgresql:///%s?host=%s&port=%s&user=%s' "$1" "${2:-$PGHOST}" "$PGPORT" "$PGUSER"
}
