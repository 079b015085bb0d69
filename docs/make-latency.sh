#!/usr/bin/env bash
# Measures what docs/latency.md shows, in the simulator, and draws docs/images/latency.svg.
#   docs/make-latency.sh BUILD_DIR
# The same build gives the same figures on any machine, in seconds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build_dir=$(cd "${1:?usage: docs/make-latency.sh BUILD_DIR}" && pwd)
readonly build_dir lines=docs/results/sim-latency.jsonl
readonly targets=(96ms 48ms 24ms 18ms 12ms 8ms)
PATH=$build_dir:$PATH

rm -f "$lines"
for guest in 'ipi' 'mixed' 'lock,lock=ticket' 'lock,lock=ttas'; do
  key=latency  # ipi-latency: of IPIs alone
  if [[ $guest == ipi ]]; then key=ipi-latency; fi
  policies='host-yield'
  for target in "${targets[@]}"; do policies+=";kvmux,$key=$target"; done
  kvmux sim compare --cost-profile kvm-pvm --guest "$guest" --vms 3,4 --vcpus 4 --repeat 3 --seconds 1 --policies "$policies" \
    --out "$lines" --report off >/dev/null 2>&1
done

# Guest, size, latency, throughput against host-yield, and p99 or (without IPIs) the longest wait against its own.
points() {
  kvmux sim compare --from "$lines" --metrics throughput,ipi_p99,worst_wait --csv - --report off 2>/dev/null |
    awk -F, '
      # A guest with commas in its name is quoted: what follows it is counted from the end.
      NR > 1 {
        guest = $2; for (i = 3; guest ~ /^"/ && guest !~ /"$/; ++i) guest = guest "," $i
        gsub(/"/, "", guest)
        vms = $i
        policy = $(i + 4); for (j = i + 5; policy ~ /^"/ && policy !~ /"$/; ++j) policy = policy "," $j
        gsub(/"/, "", policy)
        value[guest, vms, policy, $j] = $(j + 2)
        if (!((guest, vms) in seen)) { seen[guest, vms] = 1; cell[++n] = guest SUBSEP vms }
        if (policy != "host-yield" && !(policy in known)) { known[policy] = 1; name[++m] = policy }
      }
      END {
        for (c = 1; c <= n; ++c) for (p = 1; p <= m; ++p) {
          split(cell[c], at, SUBSEP)
          if (!((cell[c] SUBSEP name[p] SUBSEP "throughput") in value)) continue
          metric = ((cell[c] SUBSEP name[p] SUBSEP "ipi_p99") in value) ? "ipi_p99" : "worst_wait"
          base = cell[c] SUBSEP "host-yield" SUBSEP
          mine = cell[c] SUBSEP name[p] SUBSEP
          latency = name[p]; sub(/.*latency=/, "", latency)
          printf "%s\t%s × 4\t%s\t%.3f\t%s\t%.2f\t%.1f\n", at[1], at[2], latency, value[mine "throughput"] / value[base "throughput"],
            metric, value[mine metric] / value[base metric], value[mine metric] / 1e6
        }
      }'
}

# A line a cell: the further up and left the better.
draw() {
  awk -F'\t' '
    function x(v) { return 70 + 560 * (log(v) / log(2) + 1) / 8 }   # 1/2 to 128 times
    function y(v) { return 380 - 320 * (v - 0.8) / 3.4 }            # 0.8 to 4.2
    BEGIN {
      split("#3b6fb6 #c0504d #4f8f3f #8064a2", colour, " ")
      print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 860 440\" font-family=\"sans-serif\" font-size=\"12\">"
      print "<rect width=\"860\" height=\"440\" fill=\"#ffffff\"/>"
      print "<text x=\"20\" y=\"24\" font-size=\"15\" font-weight=\"bold\" fill=\"#222\">kvmux,latency=… (ipi: ipi-latency=…): throughput for latency, both against host-yield</text>"
      for (v = 1; v < 4.2; v += 0.5) printf "<line x1=\"70\" x2=\"630\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/><text x=\"62\" y=\"%.1f\" text-anchor=\"end\" fill=\"#444\">%.1f</text>\n", y(v), y(v), y(v) + 4, v
      for (v = 0.5; v < 129; v *= 2) printf "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"60\" y2=\"380\" stroke=\"%s\"/><text x=\"%.1f\" y=\"398\" text-anchor=\"middle\" fill=\"#444\">%g</text>\n", x(v), x(v), v == 1 ? "#888" : "#ddd", x(v), v
      print "<text x=\"350\" y=\"424\" text-anchor=\"middle\" fill=\"#222\">IPI p99 (ipi) or longest wait (the others), times that of host-yield</text>"
      print "<text x=\"18\" y=\"230\" fill=\"#222\" transform=\"rotate(-90 18 230)\" text-anchor=\"middle\">throughput, times that of host-yield</text>"
    }
    {
      key = $1 SUBSEP $2
      if (!(key in line)) { order[++n] = key; if (!($1 in hue)) hue[$1] = ++hues }
      line[key] = line[key] sprintf("%s%.1f,%.1f", line[key] == "" ? "" : " ", x($6), y($4))
      dots = dots sprintf("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.2\" fill=\"%s\"><title>%s %s, %s: throughput %s, latency %s</title></circle>\n", x($6), y($4), colour[hue[$1]], $1, $2, $3, $4, $6)
      if ($3 == "12ms" || $3 == "96ms") dots = dots sprintf("<text x=\"%.1f\" y=\"%.1f\" font-size=\"10\" fill=\"#444\">%s</text>\n", x($6) + 5, y($4) - 5, $3)
    }
    END {
      for (i = 1; i <= n; ++i) {
        split(order[i], at, SUBSEP)
        short = at[1]; sub(/ \(think.*/, "", short); sub(/, think.*/, ")", short)
        dash = at[2] ~ /^4/ ? " stroke-dasharray=\"5 3\"" : ""
        printf "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.6\"%s/>\n", line[order[i]], colour[hue[at[1]]], dash
        printf "<line x1=\"650\" x2=\"680\" y1=\"%d\" y2=\"%d\" stroke=\"%s\" stroke-width=\"2\"%s/><text x=\"688\" y=\"%d\" fill=\"#222\">%s, %s</text>\n", 66 + 20 * i, 66 + 20 * i, colour[hue[at[1]]], dash, 70 + 20 * i, short, at[2]
      }
      print dots "</svg>"
    }'
}

mkdir -p docs/images
points >"$build_dir/latency.tsv"
draw <"$build_dir/latency.tsv" >docs/images/latency.svg
# The page's table.
awk -F'\t' '{
  short = $1; sub(/ \(think.*/, "", short); sub(/, think.*/, ")", short)
  key = short " " $2
  if (!(key in row)) { order[++n] = key; row[key] = "| " key " |" }
  row[key] = row[key] sprintf(" %.2f, %s ms (%.1f) |", $4, $7, $6)
} END { for (i = 1; i <= n; ++i) print row[order[i]] }' "$build_dir/latency.tsv"
