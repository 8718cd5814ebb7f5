#!/usr/bin/env bash
# The whole suite in two halves side by side, one a core; with arguments, what they name in one process.
# The second half is told as it runs, the first when both are done.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

pytest=(.venv/bin/python -m pytest)
[ $# -eq 0 ] || exec "${pytest[@]}" "$@"

first=(tests/app tests/benchmarks tests/data tests/integration)
log=$(mktemp)
"${pytest[@]}" "${first[@]}" -p no:cacheprovider > "$log" 2>&1 &
beside=$!
trap 'kill "$beside" 2> /dev/null; rm -f "$log"' EXIT
echo "all tests but ${first[*]}, which run beside them"
"${pytest[@]}" tests "${first[@]/#/--ignore=}"
told=$?
wait "$beside"
told_beside=$?
cat "$log"
[ "$told" -eq 0 ] || echo "tests: failures are also in the half above, of all tests but ${first[*]}"
exit $((told != 0 ? told : told_beside))
