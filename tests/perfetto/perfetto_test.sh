#!/usr/bin/env bash
# An independent reader of `kvmux trace export --perfetto`: Debian's protoc with a schema of the documented field
# numbers. Slices nest, tracks and flows are complete, each vCPU's time on a worker is the ledger's.
# perfetto_test.sh KVMUX SOURCES. 77 and a reason where there is no protoc or no python3.
set -euo pipefail
kvmux=$1
here=$2/tests/perfetto
for tool in protoc python3; do
  if ! command -v "$tool" > /dev/null; then
    echo "SKIP: $tool is not here (Debian: protobuf-compiler, python3)"
    exit 77
  fi
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

decode() {  # FILE: as text
  protoc --proto_path="$here" --decode=perfetto_subset.Trace "$here/perfetto_subset.proto" < "$1"
}

window() {  # FILE: begin and end of the measured window, from the file's description
  python3 - "$1" << 'PYTHON'
import json, struct, sys
with open(sys.argv[1], "rb") as file:
    head = file.read(32)
    info = json.loads(file.read(struct.unpack("<Q", head[16:24])[0]))
print(info["window_begin"], info["window_end"])
PYTHON
}

# check WHAT NUMBERS ARGS…: runs it with a trace, exports all of it, and reads that.
check() {
  local what=$1 numbers=$2
  shift 2
  "$kvmux" "$@" --trace "$dir/run.trace" --json "$dir/run.json" > /dev/null 2> "$dir/err" || { cat "$dir/err"; exit 1; }
  "$kvmux" trace export --perfetto "$dir/run.trace" -o "$dir/run.pftrace"
  decode "$dir/run.pftrace" > "$dir/run.txt"
  local found from to
  read -r from to <<< "$(window "$dir/run.trace")"
  found=$(python3 "$here/check.py" "$dir/run.txt" "$numbers" "$dir/run.json" "$from" "$to")  # its failure is ours
  echo "$what: $found"
}

check "lock in the simulator" workers=2,vcpus=8,yields=5,guests=20,queues=2,lags=8 \
  sim run --guest lock --lock ticket --vms 2 --vcpus 4 --workers 2 --policy kvmux --seconds 0.05 --warmup 0.01
check "ipi in the simulator" workers=2,vcpus=8,ipis=100,yields=100,guests=100,queues=2,lags=8 \
  sim run --guest ipi --vms 2 --vcpus 4 --workers 2 --policy v2 --seconds 0.05 --warmup 0.01
mv "$dir/run.txt" "$dir/ipi.txt"
check "fair turns in the simulator" workers=4,vcpus=12 \
  sim run --guest mixed --vms 3 --vcpus 4 --workers 4 --policy fair --seconds 0.05 --warmup 0.01

# A part is whole again, and smaller.
"$kvmux" trace export --perfetto "$dir/run.trace" --from 10ms --to 12ms -o "$dir/part.pftrace"
[ "$(stat -c %s "$dir/part.pftrace")" -lt "$(stat -c %s "$dir/run.pftrace")" ]
decode "$dir/part.pftrace" > "$dir/part.txt"
found=$(python3 "$here/check.py" "$dir/part.txt" workers=4)
echo "a part: $found"

# The checker notices what is wrong: a slice without its end, a flow without its end, time that the ledger does not have.
refused() {
  if python3 "$here/check.py" "$@" > /dev/null 2> "$dir/err"; then
    echo "the checker takes what is wrong: $*"
    exit 1
  fi
}
awk '/TYPE_SLICE_END/ && !done { sub("END", "BEGIN"); done = 1 } { print }' "$dir/run.txt" > "$dir/wrong.txt"
refused "$dir/wrong.txt" workers=1
grep -v terminating_flow_ids "$dir/ipi.txt" > "$dir/wrong.txt"
refused "$dir/wrong.txt" workers=1
read -r from to <<< "$(window "$dir/run.trace")"
refused "$dir/run.txt" workers=1 "$dir/run.json" "$from" "$((to - 2000000))"

if [ -r /dev/kvm ] && [ -w /dev/kvm ]; then
  check "lock on KVM" workers=2,vcpus=8,guests=20,queues=2 \
    run --guest lock --lock ticket --vms 2 --vcpus 4 --workers 2 --policy kvmux --seconds 0.5 --warmup 0.1
  check "ipi on KVM" workers=2,vcpus=4,ipis=20,guests=20,queues=2 \
    run --guest ipi --vms 1 --vcpus 4 --workers 2 --policy v2 --seconds 0.5 --warmup 0.1
else
  echo "not on KVM: /dev/kvm is not usable here"
fi
