#!/usr/bin/env bash
# What the run loop costs in instructions: exits and switches of bench_run_loop on kvm_amd in an emulated host whose clock counts one
# nanosecond an instruction (QEMU's icount), where nothing disturbs a run. A gate: what the run loop adds to a bare loop may not
# exceed what instructions.txt says.
#   instructions.sh BUILD_DIR [--renew]
# --renew writes instructions.txt afresh. Exit status: 0 within the limits, or it cannot be run here and why is said; 1 beyond one.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(realpath "$1")
renew=${2-}
[[ -z $renew || $renew == --renew ]] || { echo "$renew: accepted is --renew" >&2; exit 2; }
limits=$here/instructions.txt
work=$(mktemp -d "${TMPDIR:-/tmp}/kvmux-instructions-XXXXXX")
trap 'rm -rf "$work"' EXIT

KVMUX_HW_QEMU='-icount shift=0,sleep=off -rtc clock=vm,base=2026-01-01' KVMUX_HW_ACCEL=tcg,thread=single \
  KVMUX_HW_PROGRAMS=$build/bench_run_loop KVMUX_HW_ENV='BENCH_INSTRUCTIONS=1 BENCH_ROUNDS=5' \
  "$here/run.sh" "$build" --kernels 7.3 --cpus 1 --script "$here/inside_instructions.sh" >"$work/log" || true
sed -n 's/^ *| bench instructions //p' "$work/log" >"$work/found"
if [[ ! -s $work/found ]]; then
  echo "SKIP instructions of the run loop: $(tail -n 1 "$work/log")"
  exit 0
fi
# A line: what|instructions of the run loop|of the bare loop
if [[ -n $renew ]]; then
  {
    echo "# What the run loop adds to a bare KVM_RUN loop at most, in instructions: written by tests/hw/instructions.sh BUILD_DIR --renew."
    awk -F'|' '{ printf "%s|%d\n", $1, ($2 - $3) * 1.03 + 1 }' "$work/found"
  } >"$limits"
fi
awk -F'|' '
  FNR == NR { if ($0 !~ /^#/) limit[$1] = $2; next }
  {
    added = $2 - $3
    known = $1 in limit
    met = known && added <= limit[$1]
    printf "%-44s %-46s %-7s %s\n", $1, sprintf("%d : %d = %.3f, %d more", $2, $3, $2 / $3, added), met ? "met" : "missed",
      known ? "≤ " limit[$1] " more" : "no limit known"
    if (!met) failed = 1
  }
  END { exit failed }' "$limits" "$work/found"
