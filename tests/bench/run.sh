#!/usr/bin/env bash
# Runs every benchmark in BUILD_DIR and prints one line a figure, with its target where there is one.
#   tests/bench/run.sh BUILD_DIR [FILTER]
# FILTER: a regular expression for Google Benchmark's names, and for creation, exits, switches, handover and sandbox of the run loop.
# BENCH_QUICK=1 leaves out the simulator's large runs (minutes) and shortens the rest; the figures get noisier.
# Times are CPU times. A missed target does not fail: these figures depend on the host and on who else uses it.
set -euo pipefail

readonly build_dir=${1:?usage: tests/bench/run.sh BUILD_DIR [FILTER]}
readonly filter=${2-}

# Lines of Google Benchmark's CSV as figures with targets.
show() {
  awk -F, '
    function out(what, measured, target, met) {
      printf "%-44s %-46s %-7s %s\n", what, measured, target == "" ? "" : met ? "met" : "missed", target
    }
    # A limit on the time per iteration, in ns.
    function limit(name) {
      if (name ~ /^pick_put(_vms)?\/8$/) return 150
      if (name ~ /^penalty/) return 20
      if (name ~ /^spin_scan.*\/64$/) return 500
      if (name ~ /^ipi_(send|eoi)\//) return 30
      if (name ~ /^trace_off/) return 1
      if (name ~ /^trace_event/) return 60
      return 0
    }
    { gsub(/"/, "") }
    $1 == "name" { for (i = 1; i <= NF; i++) column[$i] = i; next }
    !("name" in column) { next }
    {
      name = $1
      each = $column["cpu_time"]; unit = $column["time_unit"]
      if ("events" in column && $column["events"] != "") {
        large = name ~ /^large/
        out(name ", events/s", sprintf("%.2f million", $column["events"] / 1e6), large ? "" : "≥ 3 million",
            $column["events"] >= 3e6)
        if (!large) next
        seconds = unit == "s" ? each : unit == "ms" ? each / 1e3 : each / 1e9
        out(name ", one virtual second", sprintf("%.1f s", seconds), "< 60 s", seconds < 60)
        out(name ", peak memory", sprintf("%.0f MiB", $column["peak_MiB"]), "≤ 2048 MiB",
            $column["peak_MiB"] <= 2048)
        next
      }
      most = limit(name)
      out(name, sprintf("%.1f %s", each, unit), most ? "≤ " most " ns" : "", each <= most)
      if (name ~ /^pick_put.*\/16384$/ && "per_8" in column)
        out(name " : with 8", sprintf("%.2f", $column["per_8"]), "≤ 4", $column["per_8"] <= 4)
    }'
}

google_benchmarks() {  # program, what its figures are
  local options=(--benchmark_format=csv)
  [[ -x $build_dir/$1 ]] || return 0
  if [[ -n $filter ]]; then
    options+=("--benchmark_filter=$filter")
  elif [[ -n ${BENCH_QUICK-} && $1 == bench_sim ]]; then
    options+=(--benchmark_filter=-large)
  fi
  [[ -n ${BENCH_QUICK-} ]] && options+=(--benchmark_min_time=0.1)
  printf '\n%s\n' "$2"
  # A filter that matches nothing of this program is no failure.
  "$build_dir/$1" "${options[@]}" 2>/dev/null | show || true
}

printf '%-44s %-46s %-7s %s\n' figure measured '' target
google_benchmarks bench_sched "Scheduler (tests/bench/bench_sched.cc)"
google_benchmarks bench_trace "Trace (tests/bench/bench_trace.cc)"
google_benchmarks bench_sim "Simulator (tests/bench/bench_sim.cc)"
if [[ -x $build_dir/bench_run_loop ]]; then
  printf '\n%s\n' "Run loop on KVM (tests/bench/bench_run_loop.cc)"
  BENCH_ROUNDS=${BENCH_ROUNDS:-${BENCH_QUICK:+11}} "$build_dir/bench_run_loop" ${filter:+"$filter"}
fi
for what in trace live; do
  [[ -x $build_dir/bench_${what}_overhead && ( -z $filter || overhead =~ $filter ) ]] || continue
  printf '\n%s\n' "What --$what costs guests on KVM (tests/bench/bench_${what}_overhead.cc)"
  pairs=21
  [[ -z ${BENCH_QUICK-} ]] || pairs=5
  "$build_dir/bench_${what}_overhead" "${BENCH_PAIRS:-$pairs}" || true
done
