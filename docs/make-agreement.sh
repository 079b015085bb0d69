#!/usr/bin/env bash
# Does the simulator predict what this host measures? Repeats the comparisons of docs/results/*.jsonl in virtual
# time with the costs that `kvmux doctor` measured here, and writes docs/agreement.md.
#   docs/make-agreement.sh BUILD_DIR [NAME…]
# NAME: docs/results/NAME.jsonl; all workloads of docs/make-results.sh by default.
# Environment:
#   AGREEMENT_PROFILE   a doctor's report to use instead of a new one
#   AGREEMENT_RESULTS   the folder to read from (docs/results)
#   AGREEMENT_OUT       the file to write (docs/agreement.md)
#   AGREEMENT_REPEAT    simulated runs a cell and policy (9)
# Half a minute on one CPU, and ten seconds for the doctor.
# shellcheck disable=SC2016  # backquotes are Markdown
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build_dir=$(cd "${1:?usage: docs/make-agreement.sh BUILD_DIR [NAME…]}" && pwd)
shift
names=("$@")
((${#names[@]})) || names=(lock-ttas lock-ticket ipi-one ipi-all ipi-sender mixed compute)
readonly results=${AGREEMENT_RESULTS:-docs/results} out=${AGREEMENT_OUT:-docs/agreement.md} repeat=${AGREEMENT_REPEAT:-9}
readonly threshold=15  # percent
kvmux() { "$build_dir/kvmux" "$@"; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
profile=${AGREEMENT_PROFILE:-$work/doctor.json}
[[ -s $profile ]] || kvmux doctor --json "$profile" >/dev/null

# The commands that measured a file, one a line, words separated by tabs.
commands_of() {
  sed -n '/"kind":"session"/{s/.*"command":\["//;s/"\].*//;s/","/\t/g;p}' "$1" | sort -u
}

# The same comparison in virtual time: everything but how long and how often, and where to write.
simulate() {  # command's words
  local -a words=()
  shift 2  # kvmux compare
  while (($#)); do
    case $1 in
      --repeat | --seconds | --out | --markdown | --csv | --json | --until-ci | --max-time) shift ;;
      --efficiency) ;;
      *) words+=("$1") ;;
    esac
    shift
  done
  kvmux sim compare "${words[@]}" --repeat "$repeat" --seconds 1 --cost-profile "$profile" --out "$work/$name.jsonl" \
    >/dev/null 2>"$work/log" || { cat "$work/log" >&2; return 1; }
}

# VMs, vCPUs a VM, policy, median throughput: a line for each that was measured.
medians() {
  kvmux compare --from "$1" --csv - | awk -F, '
    { gsub(/"[^"]*"/, "guest") }
    $1 == "backend" { for (i = 1; i <= NF; i++) column[$i] = i; next }
    $column["metric"] == "throughput" {
      print $column["vms"], $column["vcpus"] / $column["vms"], $column["policy"], $column["median"]
    }'
}

for name in "${names[@]}"; do
  [[ -s $results/$name.jsonl ]] || continue
  while IFS=$'\t' read -r -a command; do simulate "${command[@]}"; done < <(commands_of "$results/$name.jsonl")
  medians "$results/$name.jsonl" | sed "s/^/$name measured /"
  medians "$work/$name.jsonl" | sed "s/^/$name predicted /"
done >"$work/medians"

compare() {
  awk -v limit="$threshold" '
    function sign(x) { return x > 1 ? 1 : -1 }
    function factor(x) { return x > 1 ? x : 1 / x }
    # Everything known about one cell is in: a row, and the pairs.
    function finish(cell,   i, j, a, b, m, p, row) {
      row = "| " title[cell] " |"
      for (i = 1; i <= policies; i++) {
        a = policy[i]
        if ((cell, "measured", a) in value && (cell, "predicted", a) in value && (cell, "measured", "yield") in value) {
          row = row sprintf(" %.2f / %.2f |", value[cell, "measured", a] / value[cell, "measured", "yield"],
                            value[cell, "predicted", a] / value[cell, "predicted", "yield"])
        } else row = row " |"
        for (j = i + 1; j <= policies; j++) {
          b = policy[j]
          if (!((cell, "measured", a) in value && (cell, "measured", b) in value)) continue
          if (!((cell, "predicted", a) in value && (cell, "predicted", b) in value)) continue
          if (!(value[cell, "measured", a] > 0 && value[cell, "predicted", a] > 0)) continue
          m = value[cell, "measured", b] / value[cell, "measured", a]
          p = value[cell, "predicted", b] / value[cell, "predicted", a]
          if (m <= 0 || p <= 0 || factor(m) <= 1 + limit / 100) continue
          pairs++
          if (sign(m) == sign(p)) { right++; continue }
          wrong = wrong sprintf("| %s | %s to %s | %.2f | %.2f |\n", title[cell], b, a, m, p)
        }
      }
      print row
    }
    {
      cell = $1 " " $3 " " $4
      if (!(cell in title)) { title[cell] = $1 ", " $3 " × " $4; order[++cells] = cell }
      if ($5 != "yield" && !($5 in known)) { known[$5] = 1; policy[++policies] = $5 }
      value[cell, $2, $5] = $6
    }
    END {
      policy[++policies] = "yield"
      head = "| measured / predicted |"; rule = "|---|"
      for (i = 1; i <= policies; i++) { head = head " " policy[i] " |"; rule = rule "---|" }
      print head; print rule
      for (c = 1; c <= cells; c++) finish(order[c])
      printf "\n**%d of the %d measured differences above %d %% have the predicted sign.**\n", right, pairs, limit
      if (wrong != "") printf "The others:\n\n| cell | pair | measured | predicted |\n|---|---|---|---|\n%s", wrong
    }' "$work/medians"
}

{
  printf '# Predicted and measured\n\nWritten by `docs/make-agreement.sh BUILD_DIR`: every comparison in %s again in virtual time,\n' "${results#"$PWD"/}"
  printf 'with the costs of this host by `kvmux doctor --json`. docs/simulator.md says what is modelled.\n\n'
  printf 'Throughput as a ratio to `yield`, KVM / simulator, medians. Below, every pair of policies in a cell.\n\n'
  compare
  printf '\n## Costs\n\n```\n'
  sed -n '/"costs": {/,/}/p' "$profile"
  printf '```\n'
} >"$work/page"
mv "$work/page" "$out"
grep -E '^\*\*' "$out" >&2
