# shellcheck shell=bash
# Runs test suites and counts their tests. A suite that breaks off, or that says it succeeded but
# ran nothing, is a failure: what was not seen to pass did not pass.

PASSED=0 FAILED=0 SKIPPED=0

# suite NAME FORMAT COMMAND...: FORMAT says how to count what the command prints: tap, regress
# (pg_regress and isolation, by lines before PostgreSQL 16 and TAP since), minitest, or marks.
suite() {
  local name=$1 format=$2 log status=0 passed=0 failed=0 skipped=0
  shift 2
  log=$WORK/$name.log
  heading "$name"
  "$@" </dev/null 2>&1 | tee "$log" || status=$?
  "count_$format" "$log"
  if ((status != 0 && failed == 0)); then
    say "$name: ended with status $status without reporting a failed test"
    failed=1
  elif ((passed + failed + skipped == 0)); then
    say "$name: reported no test at all"
    failed=1
  fi
  PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed)) SKIPPED=$((SKIPPED + skipped))
}

# Each counter sets passed, failed and skipped of suite().
lines() { grep -cE -- "$1" "$2" || true; }

count_tap() {
  skipped=$(lines '^ok .*# (SKIP|skip)' "$1")
  passed=$(($(lines '^ok\b' "$1") - skipped))
  failed=$(lines '^not ok\b' "$1")
}

count_regress() {
  passed=$(lines '(^(test)? .* \.\.\. ok\b)|(^ok [0-9]+ )' "$1")
  failed=$(lines '(^(test)? .* \.\.\. (FAILED|failed)\b)|(^not ok [0-9]+ )' "$1")
}

count_minitest() {
  local runs failures errors skips
  while read -r runs failures errors skips; do
    passed=$((passed + runs - failures - errors - skips))
    failed=$((failed + failures + errors))
    skipped=$((skipped + skips))
  done < <(sed -nE 's/^([0-9]+) runs, [0-9]+ assertions, ([0-9]+) failures, ([0-9]+) errors, ([0-9]+) skips.*/\1 \2 \3 \4/p' "$1")
}

count_marks() {
  passed=$(lines '^ *✓ ' "$1")
  failed=$(lines '^ *✗ ' "$1")
}

# tally: the line that everything ends with, and the exit status.
tally() {
  local line="$PASSED passed, $FAILED failed"
  ((SKIPPED == 0)) || line+=", $SKIPPED skipped"
  printf '\n%s\n' "$line"
  ((FAILED == 0 && PASSED > 0))
}
