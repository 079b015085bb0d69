#!/usr/bin/env bash
# Writes what docs/kvmux.md shows of runs: its two pictures, the table of what each feature gains, the table of constants.
#   docs/make-kvmux.sh BUILD_DIR
# All of it is simulated: the same build gives the same bytes, on any machine, in half a minute.
# shellcheck disable=SC2016  # backquotes are Markdown
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build_dir=$(cd "${1:?usage: docs/make-kvmux.sh BUILD_DIR}" && pwd)
kvmux() { "$build_dir/kvmux" "$@"; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

record() {  # NAME POLICY
  kvmux sim run --guest lock --lock ticket --vms 2 --vcpus 4 --workers 2 --policy "$2" --seconds 0.2 \
    --trace "$work/$1.trace" >/dev/null
}

pictures() {
  mkdir -p docs/images
  record yield yield
  record kvmux kvmux
  kvmux trace picture "$work/yield.trace" "$work/kvmux.trace" --from 20ms --length 4ms \
    --title 'yield: directed yield as in Linux 6.19' --title kvmux -o docs/images/convoy.svg
  record without kvmux,affinity=off,pack=off,donate=off
  record with kvmux,affinity=off,pack=off
  kvmux trace picture "$work/without.trace" "$work/with.trace" --from 100ms --length 4ms \
    --title 'kvmux without affinity, packing and donation' --title 'kvmux without affinity and packing, with donation' \
    -o docs/images/donation.svg
}

# A feature a row: the ratio of kvmux to kvmux without it.
readonly features=(candidates=mainline ipi=none pull=off donate=off switch-back=off yield-on-send=off
                   quantum-multiplier=1 pack=off,affinity=off affinity=off running-hint=off)
readonly names=('lock, ticket 2 × 4' 'lock, TTAS 2 × 4' 'IPI, one 2 × 4' 'IPI, all 2 × 4' 'one sender 2 × 8' 'mixed 3 × 4' 'compute 2 × 4')
readonly sizes=('lock,lock=ticket 2 4' 'lock,lock=ttas 2 4' 'ipi 2 4' 'ipi,fanout=all 2 4' 'ipi,senders=1 2 8' 'mixed 3 4' 'compute 2 4')

features_table() {
  local policies=kvmux feature size guest vms vcpus i=0
  for feature in "${features[@]}"; do policies+=";kvmux,$feature"; done
  for size in "${sizes[@]}"; do
    read -r guest vms vcpus <<<"$size"
    kvmux sim compare --guest "$guest" --vms "$vms" --vcpus "$vcpus" --workers 2 --policies "$policies" --repeat 3 --seconds 1 \
      --csv "$work/$((i++)).csv" --report off >/dev/null 2>&1
  done
  printf '| without |'; printf ' %s |' "${names[@]}"; echo
  printf '|---|'; printf -- '---|%.0s' "${names[@]}"; echo
  for feature in "${features[@]}"; do
    printf '| `%s` |' "$feature"
    for ((i = 0; i < ${#sizes[@]}; i++)); do printf ' %s |' "$(gain "$work/$i.csv" "kvmux,$feature")"; done
    echo
  done
}

# What the feature gains: throughput of kvmux over that of kvmux without it.
gain() {  # CSV POLICY
  sed -n "s/.*\"$2\",throughput,//p" "$1" | awk -F, '{ printf "%.2f", 1 / $5 }'
}

# The constants, with a column more: what the preset kvmux has instead of the default.
constants_table() {
  local own
  own=$(kvmux policies | sed -n '/^kvmux /{n;s/.*; constants://p;}')
  test -n "$own"
  kvmux policies --constants | awk -F ' [|] ' -v OFS=' | ' -v own="$own" '
    BEGIN {
      n = split(own, pairs, " ")
      for (i = 1; i <= n; ++i) { split(pairs[i], pair, "="); value["| `" pair[1] "`"] = pair[2] }
    }
    NR == 1 { $3 = $3 OFS "`kvmux`" }
    NR == 2 { $0 = $0 "---|" }
    NR > 2 { $3 = $3 OFS value[$1] }
    { print }'
}

between() {  # NAME TEXT: puts it between the page's two marks
  awk -v begin="<!-- $1:begin -->" -v end="<!-- $1:end -->" -v text="$2" '
    $0 == begin { print; print text; skip = 1 }
    $0 == end { skip = 0 }
    !skip && $0 != begin { print }' docs/kvmux.md >"$work/page"
  cp "$work/page" docs/kvmux.md
}

pictures
between features "$(features_table)"
between constants "$(constants_table)"
