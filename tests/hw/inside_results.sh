# Runs in the emulated laptop instead of the suites (run.sh --script): the doctor, then a small grid of comparisons. Files leave by
# the serial port, gzipped, a line a piece: `hw|log|file NAME BASE64`. From the settings: results_seconds, results_repeat.
cpus=$(nproc)
size=$((cpus < 2 ? 2 : cpus))

emit() { # FILE
  [ ! -s "$1" ] || gzip -9c "$1" | base64 | sed "s/^/hw|log|file $(basename "$1") /"
}

measure() { # NAME FLAGS...
  local name=$1
  shift
  one_command results "$name, 2 x $size on $cpus" "$build/kvmux" compare "$@" --vms 2 --vcpus "$size" --workers "$cpus" \
    --policies host-yield,yield,v2,kvmux --repeat "$results_repeat" --seconds "$results_seconds" --warmup 0.01 \
    --out "/tmp/$name.jsonl"
  emit "/tmp/$name.jsonl"
}

one_command results doctor "$build/kvmux" doctor --json /tmp/doctor.json
emit /tmp/doctor.json
measure lock-ttas --guest lock --lock ttas --think 50us --hold 20us
measure ipi-one --guest ipi --fanout 1 --think 200us
measure lock-ticket --guest lock --lock ticket --think 50us --hold 20us
measure mixed --guest mixed
