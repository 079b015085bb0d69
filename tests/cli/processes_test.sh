#!/bin/sh
# --processes: blocks dealt out to fresh processes, one after the other; nothing lost, resumed, each one's runs told.
# Usage: processes_test.sh KVMUX
set -eu
kvmux=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() {
  echo "FAILED: $*"
  exit 1
}

grid="sim compare --policies yield,v2 --seconds 0.05 --warmup 0.02 --repeat 6 --workers 2"
"$kvmux" $grid --out "$dir/one.jsonl" >"$dir/one.txt" 2>/dev/null
"$kvmux" $grid --processes 3 --out "$dir/three.jsonl" >"$dir/three.txt" 2>"$dir/err.txt" || fail "$(cat "$dir/err.txt")"

runs() { grep '"kind":"run"' "$1" | sed 's/,"process":[0-9]*//' | sort; }
[ "$(runs "$dir/one.jsonl")" = "$(runs "$dir/three.jsonl")" ] || fail "the simulator's runs differ between one process and three"
for process in 0 1 2; do
  [ "$(grep -c "\"process\":$process" "$dir/three.jsonl")" = 4 ] || fail "process $process did not run its 4 runs"
done
grep -q "3 processes; .* of the variance of its ratios lies between them" "$dir/three.txt" || fail "no share of the variance: $(cat "$dir/three.txt")"

# A file that lost some of its runs goes on where it was.
grep -v '"process":1' "$dir/three.jsonl" >"$dir/part.jsonl"
"$kvmux" $grid --processes 3 --out "$dir/part.jsonl" >"$dir/part.txt" 2>/dev/null
[ "$(runs "$dir/part.jsonl")" = "$(runs "$dir/three.jsonl")" ] || fail "a resumed grid has other runs"

# Turns as well: all processes have those that the first has chosen.
turns="sim compare --design switchback --policies yield,v2 --seconds 0.2 --repeat 3 --workers 2"
"$kvmux" $turns --processes 3 --out "$dir/turns.jsonl" >"$dir/turns.txt" 2>"$dir/err.txt" || fail "$(cat "$dir/err.txt")"
[ "$(grep -c '"kind":"cell"' "$dir/turns.jsonl")" = 1 ] || fail "several processes wrote several cells"
grep -q '"process":2' "$dir/turns.jsonl" || fail "no turns of the third process"
grep -q "in turns" "$dir/turns.txt" || fail "$(cat "$dir/turns.txt")"

# One that fails is named, and its status ends the whole.
status=0
"$kvmux" sim compare --policies yield,v2 --repeat 3 --processes 3 --cost-profile "$dir/none.json" >/dev/null 2>"$dir/err.txt" || status=$?
[ "$status" -ge 2 ] || fail "a broken process gave status $status"
ls "${TMPDIR:-/tmp}"/kvmux-process-* 2>/dev/null && fail "temporary files are left"
echo ok
