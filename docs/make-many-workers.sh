#!/usr/bin/env bash
# The grid of docs/many-workers.md: 4 to 64 workers in the simulator, kvmux against seven other policies. Measures it, and
# writes the picture, the raw lines and what the page shows of them.
#   docs/make-many-workers.sh BUILD_DIR
# Environment:
#   MANY_BLOCKS  blocks a cell (1; with 0 it writes what there is)
#   MANY_OUT     the folder to write to (docs)
# All of it is simulated: the same build gives the same figures on any machine, in about 10 minutes of one CPU. Stopped
# half-way, the same command goes on where it was stopped; a whole block comes first, so that what is there is even.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build_dir=$(cd "${1:?usage: docs/make-many-workers.sh BUILD_DIR}" && pwd)
readonly build_dir blocks=${MANY_BLOCKS:-1} out=${MANY_OUT:-docs}
readonly lines=$build_dir/many-workers.jsonl
PATH=$build_dir:$PATH  # so that recorded command lines say `kvmux`

readonly policies='yield;linux-7.3;host-yield;host;v2;hier;gang;kvmux'
readonly weighing='yield;linux-7.3;v2;hier;gang;kvmux'  # the host's scheduler knows no weights of VMs
readonly guests=('lock,lock=ttas' 'lock,lock=ticket' ipi 'ipi,senders=1' mixed pingpong compute)

# workers | seconds | seconds of pingpong, which has by far the most events | VMs × vCPUs[@WEIGHT,…], or COUNTxVCPUS[@WEIGHT] joined by +
readonly machines=(
  '4|2|0.3|1x4 2x2 2x4 1x8 3x5 7x3 4x4 2x8 5x6 8x4 3x4@1024,2048,4096 1x8+6x2'
  '8|2|0.3|1x8 3x5 2x8 7x3 1x24 3x8 4x8 3x11 13x4 8x8 4x8@1024,4096 1x16@4096+8x2@1024'
  '16|0.5|0.1|2x16 3x11'
  '16|0.25|0.05|1x32 1x32+12x3 7x5 8x16 13x7 4x16 1x16 3x16@1024,2048,4096'
  '64|0.15|0.05|1x64 5x33 1x64+21x3 2x64 8x64'
)

# The flags of a machine: "3x5" is a row of a grid, with a + its VMs are listed.
machine_flags() {  # SPECIFICATION
  local group count size weights
  for group in ${1//+/ }; do
    size=${group%@*} weights=1024
    if [[ $group == *@* ]]; then weights=${group#*@}; fi
    count=${size%x*}
    if [[ $1 != *+* ]]; then
      echo "--vms $count --vcpus ${size#*x} --weight $weights"
      return
    fi
    while ((count-- > 0)); do echo "--vm vcpus=${size#*x},weight=$weights"; done
  done
}

measure() {  # BLOCKS
  local entry workers seconds short sizes size guest length compared
  for entry in "${machines[@]}"; do
    IFS='|' read -r workers seconds short sizes <<<"$entry"
    for size in $sizes; do
      for guest in "${guests[@]}"; do
        length=$seconds
        if [[ $guest == pingpong ]]; then length=$short; fi
        compared=$policies
        if [[ $size == *@* ]]; then compared=$weighing; fi
        # shellcheck disable=SC2046  # flags are words
        (cd "$build_dir" && kvmux sim compare --cost-profile laptop-vmx --guest "$guest" --workers "$workers" $(machine_flags "$size") \
          --policies "$compared" --repeat "$1" --seconds "$length" --report off --out "${lines##*/}") >/dev/null 2>"$lines.log" ||
          { cat "$lines.log" >&2; return 1; }
      done
      echo "$workers workers, $size: $1 of $blocks blocks" >&2
    done
  done
}

for ((block = 1; block <= blocks; ++block)); do measure "$block"; done

# Six decimals and five figures a run say all that the page needs.
publish_runs() {  # RESULT FILE
  sed -E -e 's/(\.[0-9]{6})[0-9]+/\1/g' -e 's/,"detail":\{.*$/}/' -e 's/("vm_ops_per_second":\[)[^]]*/\1/' \
    -e 's/"(jain|vcpu_fairness|ipi_p50|ipi_p99|ipi_p999|spin_exits|yields|yield_hits|yield_misses|yield_harmful|exits|stolen)":[^,}]*,?//g' \
    -e 's/,\}/}/g' "$lines" >"$1"
}

draw() {  # METRIC, more flags
  kvmux heatmap "$out/results/many-workers.jsonl" --metric "$@"
}

between() {  # NAME TEXT: puts it between the page's two marks
  awk -v begin="<!-- $1:begin -->" -v end="<!-- $1:end -->" -v text="$2" '
    $0 == begin { print; print text; skip = 1 }
    $0 == end { skip = 0 }
    !skip && $0 != begin { print }' "$out/many-workers.md" >"$lines.page"
  mv "$lines.page" "$out/many-workers.md"
}

# Of the windows of 2 s, with several VMs: the other ones are too short to say who got what.
fairness_table() {
  kvmux compare --from "$out/results/many-workers.jsonl" --metrics fairness --markdown - | awk -F ' *[|] *' '
    /^### / {
      guest = $0; sub(/^### /, "", guest); sub(/, [0-9]+ workers,.*/, "", guest)
      workers = $0; sub(/ workers,.*/, "", workers); sub(/.*, /, "", workers)
      long = (workers == 4 || workers == 8) && guest !~ /^pingpong/
    }
    $3 == "yield" { size = $2; yields = $4; one = size ~ /^1 × [0-9]+$/ }
    $3 == "kvmux" && long && !one {
      cells++
      row = sprintf("| %s | %s | %s | %s | %s |\n", workers, size, guest, $4, yields)
      if ($4 >= 0.97) good++
      if (size == "13 × 4") first = first row; else if ($4 < 0.97) rows = rows row
    }
    END {
      printf "%d of %d cells with several VMs and a window of 2 s reach 0.97. 13 VMs on 8 workers, then the others below that:\n\n", good, cells
      printf "| workers | VMs × vCPUs | guest | kvmux | yield |\n|---:|---|---|---:|---:|\n%s%s", first, rows
    }'
}

write_page() {
  mkdir -p "$out/results" "$out/images"
  publish_runs "$out/results/many-workers.jsonl"
  draw throughput --beside fairness --title 'kvmux against the best of seven other policies: throughput' \
    -o "$out/images/many-workers.svg" --markdown "$lines.losing" >/dev/null
  between summary "$(head -1 "$lines.losing" | sed 's/.*: \([0-9]* cells\)/**\1/; s/\.$/.**/')"
  between losing "$(sed '1,2d' "$lines.losing")"
  between fairness "$(fairness_table)"
  rm -f "$lines.losing" "$lines.log"
}

write_page
