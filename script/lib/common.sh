# shellcheck shell=bash
# What every command in script/ needs: messages, privileges, a work directory that goes away.

umask 022                 # a server that runs as another user must be able to read what root builds
export LC_ALL=C.UTF-8

say() { printf '%s\n' "$*"; }
heading() { printf '\n==> %s\n' "$*"; }
warn() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
  warn "$@"
  exit 1
}

as_root() {
  if ((EUID == 0)); then "$@"; else sudo -- "$@"; fi
}

# logged FILE COMMAND...: runs it quietly; if it fails, shows the end of what it said.
logged() {
  local log=$1 status=0
  shift
  "$@" >"$log" 2>&1 || status=$?
  if ((status != 0)); then
    warn "failed: $*"
    tail -n 40 "$log" >&2
  fi
  return "$status"
}

# on_exit FUNCTION: to be called when the script ends, the last one first. It may be called early
# as well.
ON_EXIT=()
on_exit() { ON_EXIT=("$1" "${ON_EXIT[@]}"); }

# make_work_directory: sets WORK, which is removed when the script ends, also by a signal.
make_work_directory() {
  local parent=${TMPDIR:-/tmp}
  ((${#parent} <= 60)) || parent=/tmp     # the path of a unix socket ends at 107 bytes
  WORK=$(mktemp -d "$parent/tasker.XXXXXX")
  chmod 755 "$WORK"
  trap leave EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

# keep_work: leave the work directory, and what runs in it, when the script ends.
KEEP_WORK=0
keep_work() { KEEP_WORK=1; }

leave() {
  local status=$? function
  trap - EXIT
  trap '' HUP INT TERM                    # an impatient second ^C must not leave half of it behind
  if ((KEEP_WORK == 0)); then
    for function in "${ON_EXIT[@]}"; do "$function"; done
    rm -rf "$WORK"
  fi
  exit "$status"
}

# copy_source: the checkout into $WORK/src without what was built in it, so that nothing here
# depends on, or ends up in, the working tree.
copy_source() {
  mkdir "$WORK/src"
  tar -C "$ROOT" --exclude-vcs --exclude='*.o' --exclude='*.so' --exclude='*.bc' \
    --exclude='./results' --exclude='./output_iso' --exclude='./tests/unit/build' --exclude='./tests/fuzz/build' -cf - . |
    tar -C "$WORK/src" --no-same-owner -xf -
}
