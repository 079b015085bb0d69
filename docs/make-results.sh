#!/usr/bin/env bash
# Measures everything that docs/results.md shows and writes it, with the raw runs in docs/results/*.jsonl.
#   docs/make-results.sh BUILD_DIR
# Environment:
#   RESULTS_REPEAT   blocks a cell (9; fewer than 9 give figures that are not worth publishing)
#   RESULTS_SECONDS  measured time of a run (1)
#   RESULTS_POLICIES compared in every table (host-yield,yield,linux-7.3,v2,kvmux,oracle); `compute` adds host and fair
#   RESULTS_ONLY     a regular expression: only these parts (see the lists below, aa, planted, sim); a trial
#   RESULTS_OUT      the folder to write to (docs)
# About 50 minutes on an idle host with the defaults, 5 with RESULTS_REPEAT=3 RESULTS_SECONDS=0.4.
# Stopped half-way, the same command goes on where it was stopped.
# shellcheck disable=SC2016  # backquotes are Markdown
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build_dir=$(cd "${1:?usage: docs/make-results.sh BUILD_DIR}" && pwd)
readonly build_dir
readonly repeat=${RESULTS_REPEAT:-9} seconds=${RESULTS_SECONDS:-1} only=${RESULTS_ONLY:-.}
mkdir -p "${RESULTS_OUT:-docs}/results"
out=$(cd "${RESULTS_OUT:-docs}" && pwd)
readonly out
readonly work=$build_dir/results-$repeat-$seconds
readonly aa_seconds=$(awk -v s="$seconds" 'BEGIN { print s / 2 }')
readonly sim_repeat=$((repeat < 5 ? repeat : 5))
PATH=$build_dir:$PATH  # so that commands and recorded command lines say `kvmux`

readonly policies=${RESULTS_POLICIES:-host-yield,yield,linux-7.3,v2,kvmux,oracle}

# name | flags | sizes | title; the targets are in verdicts() below
readonly workloads=(
  "lock-ttas|--guest lock --lock ttas --think 50us --hold 20us|grid|Lock, TTAS"
  "lock-ticket|--guest lock --lock ticket --think 50us --hold 20us|grid|Lock, ticket"
  "ipi-one|--guest ipi --fanout 1 --think 200us|grid|IPI, fan-out one"
  "ipi-all|--guest ipi --fanout all --think 500us|grid|IPI, fan-out all"
  "ipi-sender|--guest ipi --senders 1|2x8|IPI, one sender, the others compute"
  "mixed|--guest mixed|grid|Mixed"
  "compute|--guest compute|grid|Compute"
)

say() { printf '%s\n' "$*" >&2; }
wanted() { [[ $1 =~ $only ]]; }

# One command, shown in the document and run in the work folder.
commands=()
run() {
  commands+=("kvmux $*")
  say "kvmux $*"
  (cd "$work" && kvmux "$@" >/dev/null)
}

# All sizes of a workload into one file.
compare_sizes() {  # file, sizes, seconds, flags
  local file=$1 sizes=$2 length=$3 flags=$4 size
  local -a grids=("2 2" "2,3,4 4")
  [[ $sizes == 2x8 ]] && grids=("2 8")
  for size in "${grids[@]}"; do
    # shellcheck disable=SC2086  # flags and sizes are lists of words
    run compare $flags --vms ${size% *} --vcpus ${size#* } --workers 2 --repeat "$repeat" --seconds "$length" --out "$file"
  done
}

measure() {
  local entry name flags sizes title compared
  for entry in "${workloads[@]}"; do
    IFS='|' read -r name flags sizes title <<<"$entry"
    compared=$policies
    if [[ $name == compute ]]; then compared=$policies,host,fair; fi
    if wanted "$name"; then compare_sizes "$name.jsonl" "$sizes" "$seconds" "$flags --policies $compared --efficiency"; fi
  done
  for entry in "${workloads[@]}"; do  # whether a verdict is wrong does not depend on how long the runs are
    IFS='|' read -r name flags sizes title <<<"$entry"
    if wanted aa; then compare_sizes aa.jsonl "$sizes" "$aa_seconds" "$flags --policies yield,yield"; fi
  done
  if wanted planted; then
    run compare --guest lock --policies yield,yield --handicap 2=10 --vms 2 --vcpus 4 --workers 2 --repeat "$repeat" \
      --seconds "$seconds" --out planted.jsonl
  fi
  wanted sim || return 0
  run sim compare --guest lock,ipi,mixed --policies yield,hier,deboost,ipi,v2,v3,kvmux --vms 2,3,4 --vcpus 16 \
    --workers 16 --repeat "$sim_repeat" --seconds 1 --out sim-gain.jsonl
  run sim sweep --guest lock --policies yield,v2,kvmux --ratio 1,2,4,6,8,10 --vcpus 16 --workers 16 \
    --repeat "$sim_repeat" --seconds 1 --out sim-sweep.jsonl
}

# --- writing ---

findings() { kvmux compare --from "$work/$1.jsonl" ${2:+--baseline "$2"} --csv -; }  # name, baseline

# findings() twice (against the first and the second baseline) → a row of the target table for each size.
# Limits: ratio to the first baseline, efficiency, ratio to yield, useful; "-" for none. The last but one does not
# hold for 2 × 2 where `beyond` is 1. All: fairness 0.97; the IPIs' p99 no longer than the first
# baseline's. Longest waits stand beside those of yield: the kernel does not say how long its threads waited at the longest.
verdicts() {  # title, name, baseline, ratio, efficiency, to-yield, beyond, useful
  { findings "$2" "$3"; findings "$2" yield; } | awk -F, -v title="$1" -v limits="$4 $5 $6 $8" -v beyond="$7" '
    function cell(value, limit) {
      if (value == "") return "–"
      if (limit == "-") return sprintf("%.3f", value)
      if (value + 0 >= limit + 0) { met++; return sprintf("%.3f (≥ %s)", value, limit) }
      missed++
      return sprintf("**%.3f** (≥ %s)", value, limit)
    }
    function multiple(metric, size, limit) {  # how long, and as a multiple of another
      if (!((metric, size) in times)) return "–"
      if (limit && times[metric, size] <= limit) met++
      if (limit && times[metric, size] > limit) missed++
      return sprintf(limit && times[metric, size] > limit ? "%.1f ms, **%.2f**" : "%.1f ms, %.2f", median[metric, size] / 1e6, times[metric, size])
    }
    function plain(metric, size) { return ((metric, size) in median) ? sprintf("%.3f", median[metric, size]) : "–" }
    BEGIN { split(limits, limit, " ") }
    { gsub(/"[^"]*"/, "guest") }
    $1 == "backend" { pass++; for (i = 1; i <= NF; i++) column[$i] = i; next }
    $column["policy"] != "kvmux" { next }
    {
      vms = $column["vms"]; size = vms " × " $column["vcpus"] / vms; metric = $column["metric"]
      if (!(size in seen)) { seen[size] = 1; order[++sizes] = size }
      if (metric == "throughput") ratio[pass, size] = $column["ratio_median"]
      else if (pass == 1) median[metric, size] = $column["median"]
      if (metric == "ipi_p99" && pass == 1 || metric == "worst_wait" && pass == 2) times[metric, size] = $column["ratio_median"]
    }
    END {
      for (i = 1; i <= sizes; i++) {
        size = order[i]
        printf "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", title, size, cell(ratio[1, size], limit[1]),
               cell(median["efficiency", size], limit[2]),
               cell(ratio[2, size], beyond && size == "2 × 2" ? "-" : limit[3]),
               cell(median["fairness", size], 0.97), cell(median["useful", size], limit[4]),
               multiple("ipi_p99", size, 1), multiple("worst_wait", size), plain("regret", size)
      }
      printf "%d %d\n", met, missed >> "'"$work"'/tally"
    }'
}

target_table() {
  local -A rows=(
    [lock-ttas]="host-yield 1.05 1.00 1.10 1 0.96" [lock-ticket]="host-yield 1.05 0.95 1.10 0 -"
    [ipi-one]="host-yield 1.05 0.97 1.20 0 -" [ipi-all]="host-yield 1.05 0.95 1.10 0 -"
    [ipi-sender]="host-yield 1.5 - 1.8 0 -" [mixed]="host-yield 1.05 0.95 1.10 0 -"
    [compute]="host 0.99 0.99 0.99 0 -")
  local entry name title
  : >"$work/tally"
  printf '| workload | VMs × vCPUs | to host-yield (compute: host) | efficiency | to yield | fairness | useful | IPI p99 | longest wait | regret |\n'
  printf '|---|---|---|---|---|---|---|---|---|---|\n'
  for entry in "${workloads[@]}"; do
    name=${entry%%|*} title=${entry##*|}
    # shellcheck disable=SC2086  # the limits are words
    if [[ -s $work/$name.jsonl ]]; then verdicts "$title" "$name" ${rows[$name]}; fi
  done
  printf '\n'
  awk '{ met += $1; missed += $2 } END { printf "%d of %d figures meet their target.\n", met, met + missed }' "$work/tally"
}

workload_tables() {
  local entry name flags sizes title
  for entry in "${workloads[@]}"; do
    IFS='|' read -r name flags sizes title <<<"$entry"
    [[ -s $work/$name.jsonl ]] || continue
    printf '\n## %s\n\n`%s`, runs in [results/%s.jsonl](results/%s.jsonl).\n\n' "$title" "$flags" "$name" "$name"
    kvmux compare --from "$work/$name.jsonl" --baseline host-yield --markdown -
  done
}

trust() {
  printf '\n## Can these tables be believed?\n\n'
  if [[ -s $work/aa.jsonl ]]; then
    printf 'A/A: `yield` against itself over all cells above.\n'
    findings aa | awk -F, '
      { gsub(/"[^"]*"/, "guest") }
      $1 == "backend" { for (i = 1; i <= NF; i++) column[$i] = i; next }
      $column["metric"] == "throughput" && $column["verdict"] != "baseline" {
        cells++; none += $column["verdict"] != "better" && $column["verdict"] != "worse"
        equal += $column["verdict"] == "equivalent"
        off = log($column["ratio_median"]); if (off < 0) off = -off; if (off > most) most = off
      }
      END {
        printf "Neither better nor worse in %d of %d cells (%.0f %%; wanted: at least 95 %%), ", none, cells, cells ? 100 * none / cells : 0
        printf "equivalent in %d. ", equal
        printf "The largest median ratio is %.1f %% off 1.\n", 100 * (exp(most) - 1)
      }'
  fi
  if [[ -s $work/planted.jsonl ]]; then
    printf '\nA handicap of 10 %% planted in the second of two equal policies:\n\n'
    kvmux compare --from "$work/planted.jsonl" --markdown -
  fi
}

run_loop() {
  [[ -x $build_dir/bench_run_loop ]] || { say "the run loop's own lines are left out: $build_dir/bench_run_loop is not built"; return 0; }
  printf '\n## The run loop itself\n\n`./run.sh bench` prints these; run loop and bare KVM_RUN loop side by side in one run.\n\n```\n'
  "$build_dir/bench_run_loop"
  printf '```\n'
}

simulated() {
  if [[ -s $work/sim-gain.jsonl ]]; then
    printf '\n## Simulator: 16 workers, 16 vCPUs a VM\n\n'
    printf 'Gain over `yield`, beside the figures that others published. docs/simulator.md says what is modelled.\n\n'
    kvmux compare --from "$work/sim-gain.jsonl" --published --markdown -
  fi
  if [[ -s $work/sim-sweep.jsonl ]]; then
    printf '\n## Simulator: overcommit\n\n'
    kvmux compare --from "$work/sim-sweep.jsonl" --published --metrics throughput,yields --markdown -
  fi
}

write_page() {
  printf '# Results\n\nWritten by `./run.sh results`; docs/statistics.md says how ratios, intervals and verdicts are made.\n'
  printf 'kvmux %s. %s blocks a cell, %s s a run.\n' "$(kvmux --version | awk '$1 == "kvmux" { version = $2 } $1 == "commit" { print version " (commit " $2 ")" }')" "$repeat" "$seconds"
  printf '\n## Targets\n\nMedians over the blocks of `kvmux`: throughput in pairs to the policy named, efficiency against one VM\n'
  printf 'alone with a vCPU a worker, fairness between VMs (worst over best), useful share of the workers'"'"' time. In\n'
  printf 'parentheses the target; **bold** misses it. The 99th percentile of an IPI'"'"'s time from send to acknowledgement stands beside its multiple of\n'
  printf 'that of host-yield, which is to be at most 1; the longest that a vCPU waited for a worker beside its multiple of that of yield. Regret is\n'
  printf 'what is lost against the best of the policies of each block, the oracle among them (docs/rivals.md).\n\n'
  target_table
  if [[ -s docs/results-notes.md ]]; then
    printf '\n'
    cat docs/results-notes.md
  fi
  workload_tables
  trust
  run_loop
  simulated
  printf '\n## Host\n\n```\n'
  kvmux doctor
  printf '```\n\n## Commands\n\n```\n'
  printf '%s\n' "${commands[@]}"
  printf '```\n`kvmux compare --from docs/results/FILE` prints any of these again.\n'
}

# Six decimals say all there is to say.
publish_runs() {
  local file
  for file in "$work"/*.jsonl; do
    sed -E 's/(\.[0-9]{6})[0-9]+/\1/g' "$file" >"$out/results/$(basename "$file")"
  done
}

mkdir -p "$work"
measure
write_page >"$work/results.md"
publish_runs
mv "$work/results.md" "$out/results.md"
rm -f "$work"/*.jsonl "$work"/*.html "$work/tally"
rmdir "$work"
AGREEMENT_RESULTS=$out/results AGREEMENT_OUT=$out/agreement.md docs/make-agreement.sh "$build_dir"
say "wrote $out/results.md; raw runs: $(cat "$out"/results/*.jsonl | wc -c) bytes in $out/results"
