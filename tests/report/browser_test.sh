#!/usr/bin/env bash
# The report in a browser: browser_test.sh KVMUX SOURCE_DIR BUILD_DIR
# Makes reports with the simulator and drives Debian's chromium over them (browser_test.mjs). Skips, with the reason,
# where chromium, node or playwright-core are missing. Prints size and opening times of a page of 10,000 runs in 24 cells.
# KVMUX_SHOTS=folder keeps screenshots; KVMUX_BIG=1 opens one of 10,000 runs in 400 cells as well.
set -euo pipefail
kvmux=$1 source=$2 build=$3
here=$source/tests/report

skip() { echo "SKIP report_browser: $*"; exit 77; }

browser=$(command -v chromium || command -v chromium-browser || true)
[ -n "$browser" ] || skip "no chromium (apt-get install chromium)"
command -v node > /dev/null && command -v npm > /dev/null || skip "no node and npm (apt-get install npm)"
driver=$build/report_browser
mkdir -p "$driver"
if ! cmp -s "$here/package-lock.json" "$driver/node_modules/.installed"; then
  cp "$here/package.json" "$here/package-lock.json" "$driver"
  (cd "$driver" && timeout 60 npm ci --ignore-scripts --no-audit --no-fund --prefer-offline --fetch-timeout=15000 --fetch-retries=1 > npm.log 2>&1) ||
    skip "playwright-core cannot be fetched: $(tail -n 1 "$driver/npm.log")"
  cp "$here/package-lock.json" "$driver/node_modules/.installed"
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
"$kvmux" sim compare --guest lock,ipi --vms 2,3 --vcpus 4 --workers 2 --policies yield,v2,kvmux --repeat 6 --seconds 0.05 --out runs.jsonl > table.txt 2> err ||
  { cat err; exit 1; }
grep -q "kvmux: the report is $dir/runs.html" err || { echo "compare does not name its report:"; tail -n 3 err; exit 1; }
for policy in yield kvmux; do
  "$kvmux" sim run --guest lock --lock ticket --vms 2 --vcpus 4 --workers 2 --policy $policy --seconds 0.02 --seed 3 --trace $policy.trace > out 2>&1 || { cat out; exit 1; }
done
"$kvmux" report runs.jsonl yield.trace kvmux.trace -o report.html 2> err || { cat err; exit 1; }
"$kvmux" compare --from runs.jsonl --csv findings.csv --json findings.json > again.txt
# A build without npm embeds empty bundles.
mkdir bare
: > bare/d3.js
: > bare/plot.js
"$kvmux" report runs.jsonl yield.trace --page bare -o bare.html 2> err
grep -q 'tables only' err || { echo "report does not say that there are no charts"; exit 1; }
node "$here/big.mjs" runs.jsonl 10000 6 > big.jsonl
"$kvmux" report big.jsonl -o big.html 2> err || { cat err; exit 1; }
if [ -n "${KVMUX_BIG:-}" ]; then
  node "$here/big.mjs" runs.jsonl 10000 100 > many-cells.jsonl
  "$kvmux" report many-cells.jsonl -o many-cells.html
fi
CHROMIUM=$browser NODE_PATH=$driver/node_modules node "$here/browser_test.mjs" "$dir" "$driver"
