#!/bin/bash
# The program as its user meets it: exit statuses and messages. cli_test.sh KVMUX DOC_GUEST.elf
# Where /dev/kvm cannot be used the cases that need it are skipped, which is said and counted.
set -u
kvmux=$1
doc_guest=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
out=$dir/out
err=$dir/err
ran=0
failed=0
skipped=0

fail() {
  failed=$((failed + 1))
  echo "FAILED: $*"
  sed 's/^/  out: /' "$out" | head -n 20
  sed 's/^/  err: /' "$err" | head -n 20
}

skip() {
  skipped=$((skipped + 1))
  echo "SKIP $*"
}

# expect STATUS PATTERN ARGUMENT...: kvmux ends so, and one of its lines matches.
expect() {
  local status=$1 pattern=$2
  shift 2
  ran=$((ran + 1))
  timeout 120 "$kvmux" "$@" > "$out" 2> "$err"
  local got=$?
  [ "$got" -eq "$status" ] || { fail "kvmux $*: exit $got, not $status"; return; }
  cat "$out" "$err" | grep -Eq -- "$pattern" || fail "kvmux $*: nothing says '$pattern'"
}

# The user's mistakes name the flag, the value and what is accepted; nothing is started.
usage_errors() {
  expect 2 'a command is needed'
  expect 2 'unknown command.*run' rnu
  expect 2 '--vcpsu: unknown flag.*--vcpus' run --vcpsu 4
  expect 2 '--guest.*nosuch' run --guest nosuch
  expect 2 '--policy: unknown policy .nosuch' run --policy nosuch
  expect 2 '--policy.*one policy' run --policy fair,v2
  expect 2 '--vcpus.*0' run --vcpus 0
  expect 2 '--vcpus.*1024' run --vcpus 5000
  expect 2 '--vcpus.*-1' run --vcpus -1
  expect 2 '--vcpus.*four' run --vcpus four
  expect 2 '--vms.*0' run --vms 0
  expect 2 '--workers.*0' run --workers 0
  expect 2 '--seconds.*soon' run --seconds soon
  expect 2 '--seconds' run --seconds -3
  expect 2 '--ring.*2' run --ring 2
  expect 2 '--weight.*0' run --weight 0
  expect 2 '--vm.*colour' run --vm guest=compute,colour=red
  expect 3 '--json' run --guest compute --vcpus 1 --seconds 0.05 --json "$dir/no/such/folder"
}

# Images that are not what a guest must be.
bad_images() {
  printf 'hello' > "$dir/text"
  head -c 70 "$doc_guest" > "$dir/truncated"
  head -c 2000 "$doc_guest" > "$dir/half"
  patched "$dir/elf32" 4 '\001'
  patched "$dir/big_endian" 5 '\002'
  patched "$dir/arm" 18 '\267'
  patched "$dir/relocatable" 16 '\001'
  : > "$dir/empty"
  local name
  for name in text truncated half elf32 big_endian arm relocatable empty; do
    expect 2 'kvmux: (vm0: )?.*ELF|kvmux: .*(image|file)' run --guest "$dir/$name" --seconds 0.1
  done
  expect 2 "$dir/absent" run --guest "$dir/absent" --seconds 0.1
  expect 2 "$dir" run --guest "$dir" --seconds 0.1
}

# patched FILE OFFSET BYTE: the guest's image with one byte changed.
patched() {
  cp "$doc_guest" "$1"
  printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

guests() {
  expect 0 'vm0' run --guest compute --vms 1 --vcpus 2 --seconds 0.2
  expect 0 'turns of vCPU 0: ok \(50\)' run --guest "$doc_guest" --vms 1 --vcpus 3 --guest-args 50 --seconds 60
  expect 0 'the token is on its way' run --guest "$doc_guest" --vms 1 --vcpus 2 --seconds 0.3
  expect 2 '(--memory|memory).*MiB' run --guest compute --vcpus 64 --memory 1M
  # Built from its bytes: ud2 at the entry point.
  patched "$dir/faulty" "$(entry_offset)" '\017\013'
  expect 1 'vm0/vcpu[0-9]+: triple fault (at RIP 0x[0-9a-f]+, CPL 0|.the processor was reset by KVM)' run --guest "$dir/faulty" --vms 1 --seconds 0.3
  expect 1 'vm1/vcpu[0-9]+: triple fault' run --vm guest=compute --vm "guest=$dir/faulty" --seconds 0.3
  grep -q '^vm0' "$out" || fail "the healthy VM's results are missing"
}

# Where in the file the first instruction is: the image's only load segment begins at its start.
entry_offset() {
  local entry start
  entry=$(readelf -h "$doc_guest" | awk '/Entry point/ { print $4 }')
  start=$(readelf -Wl "$doc_guest" | awk '$1 == "LOAD" && /R.E/ { print $3 " " $2; exit }')
  echo $((entry - ${start% *} + ${start#* }))
}

# Waits until the run has begun to measure: progress is written to the standard error stream.
start_run() {
  "$kvmux" run --guest compute --vms 1 --vcpus 2 --seconds 60 > "$out" 2> "$err" &
  pid=$!
  local i
  for i in $(seq 100); do
    [ "$(ls /proc/$pid/task 2> /dev/null | wc -l)" -ge 3 ] && break
    sleep 0.1
  done
  sleep 2
}

interrupts() {
  ran=$((ran + 1))
  start_run
  local begin=$SECONDS
  kill -INT $pid
  wait $pid
  local got=$?
  [ $got -eq 130 ] || fail "Ctrl-C: exit $got, not 130"
  grep -q '^vm0' "$out" || fail "Ctrl-C: what was measured is not printed"
  [ $((SECONDS - begin)) -lt 30 ] || fail "Ctrl-C: the run went on"

  # timeout(1) sends its signal to the program and to its process group: that is one request.
  ran=$((ran + 1))
  start_run
  kill -STOP $pid
  kill -INT $pid
  kill -TERM $pid
  kill -CONT $pid
  wait $pid
  got=$?
  [ $got -eq 130 ] || fail "a signal sent twice: exit $got, not 130"
  grep -q '^vm0' "$out" || fail "a signal sent twice: what was measured is not printed"
}

# Without the device: a mount namespace in which /dev/kvm is something else.
host_trouble() {
  if ! unshare -m mount --bind /dev/null /dev/kvm 2> /dev/null; then
    skip "host trouble: no mount namespace here (unshare -m needs root)"
    return
  fi
  ran=$((ran + 2))
  unshare -m sh -c 'mount --bind /dev/null /dev/kvm && exec "$0" run --seconds 0.1' "$kvmux" > "$out" 2> "$err"
  local got=$?
  [ $got -eq 3 ] || fail "/dev/kvm that is no KVM: exit $got, not 3"
  grep -q '/dev/kvm' "$err" || fail "/dev/kvm that is no KVM: it is not named"
  unshare -m sh -c 'mount -t tmpfs none /dev && exec "$0" run --seconds 0.1' "$kvmux" > "$out" 2> "$err"
  got=$?
  [ $got -eq 3 ] || fail "no /dev/kvm: exit $got, not 3"
  grep -q '/dev/kvm' "$err" || fail "no /dev/kvm: it is not named"
}

# The same flags and seed give the same JSON, byte by byte; another seed gives another.
simulated_json() {  # seed
  "$kvmux" sim run --guest mixed --vms 2 --vcpus 4 --workers 3 --seed "$1" --seconds 0.05 --json - 2> "$err"
}
simulator() {
  expect 0 'vm0' sim run --guest lock --vms 2 --vcpus 4 --workers 2 --seconds 0.2
  ran=$((ran + 1))
  simulated_json 1 > "$out"
  [ -s "$out" ] || fail 'sim run --json -: nothing'
  simulated_json 1 | cmp -s - "$out" || fail 'sim run twice with one seed: the JSON differs'
  if simulated_json 2 | grep -v -e seed -e '"--' | cmp -s - <(grep -v -e seed -e '"--' "$out"); then
    fail 'sim run with two seeds: the JSON is the same'
  fi
}

# A grid killed half-way and started again ends with the runs of one that was not, each once.
grid=(sim compare --guest lock,ipi --vms 2,3 --vcpus 8 --workers 4 --policies yield,v2 --repeat 5 --seconds 2)
runs_of() { grep '"kind":"run"' "$1" | sed 's/,"seconds":.*//' | sort; }
killed_grid() {
  ran=$((ran + 1))
  "$kvmux" "${grid[@]}" --out "$dir/whole.jsonl" > /dev/null 2>> "$err"
  "$kvmux" "${grid[@]}" --out "$dir/killed.jsonl" > /dev/null 2>> "$err" &
  local pid=$! i
  for i in $(seq 400); do
    [ "$(grep -c '"kind":"run"' "$dir/killed.jsonl" 2> /dev/null)" -ge 7 ] 2> /dev/null && break
    sleep 0.02
  done
  kill -KILL $pid
  wait $pid 2> /dev/null
  head -n 1 "$dir/killed.jsonl" | grep -q '"command":\["kvmux","sim","compare"' ||
    fail 'a result file names the program by its place, or not its command'
  local left
  left=$(runs_of "$dir/killed.jsonl" | wc -l)
  [ "$left" -lt 40 ] || skip 'a killed grid: it was over before it was killed'
  "$kvmux" "${grid[@]}" --out "$dir/killed.jsonl" > /dev/null 2>> "$err"
  [ "$(runs_of "$dir/whole.jsonl" | wc -l)" -eq 40 ] || fail 'a grid of 40 runs: not as many'
  runs_of "$dir/killed.jsonl" | cmp -s - <(runs_of "$dir/whole.jsonl") || fail 'a killed grid: lost or doubled runs'
}

usage_errors
simulator
killed_grid
host_trouble
if [ -r /dev/kvm ] && [ -w /dev/kvm ]; then
  bad_images
  guests
  interrupts
else
  skip "images, guests and Ctrl-C: /dev/kvm cannot be used"
fi
echo "command line: $ran cases ran, $failed failed, $skipped groups skipped"
[ $failed -eq 0 ]
