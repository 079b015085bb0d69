#!/bin/bash
# The watchdog (docs/stalls.md): planted faults of the scheduler are named, what the host does is named as the host's
# doing, requests are answered, and nothing is said of runs that get on. stall_test.sh KVMUX STOP_THREAD
# KVMUX_STALL_LONG=1: the runs that get on are longer, and there are more of them.
set -u
kvmux=$1
stop_thread=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0

# fail WHAT
fail() {
  failed=1
  echo "FAILED: $1"
  sed 's/^/  | /' "$dir/err" | head -60
}
# says PATTERN / silent PATTERN: about the last run's standard error.
says() { grep -qE -- "$1" "$dir/err" || fail "$what: no '$1'"; }
silent() { ! grep -qE -- "$1" "$dir/err" || fail "$what: '$1' although"; }
prints() { grep -qE -- "$1" "$dir/out" || fail "$what: the result lacks '$1'"; }
# ended STATUS
ended() { test "$status" -eq "$1" || fail "$what: exit $status instead of $1"; }
run() {
  timeout -k 1 60 "$kvmux" "$@" > "$dir/out" 2> "$dir/err" < /dev/null
  status=$?
}

what='a bad value'
run run --stall 5parsecs
ended 2
says "--stall.*5parsecs.*off, or a time from 100ms to 1h"

# --- the simulator ---
what='simulated lost wake-ups'
run sim run --guest pingpong --vms 1 --vcpus 4 --seconds 3 --stall 500ms --plant-lost-wakeups 300
ended 3
says 'vCPU 0\.[0-3] has been halted with vector 0x40 pending for .*: the scheduler lost a wake-up'
prints '^stall: vCPU 0\.[0-3] has been halted'
prints '^vm0 '
what='a simulated machine that gets on'
run sim run --guest mixed --vms 8 --vcpus 8 --policy kvmux --seconds 4 --stall 500ms
ended 0
! grep -q '^stall' "$dir/out" || fail "$what: a stall"

if ! [ -r /dev/kvm ] || ! [ -w /dev/kvm ]; then
  echo 'SKIP stall: no usable /dev/kvm; the simulator alone was tested'
  exit $((failed ? 1 : 77))
fi

# --- faults of the scheduler ---
for policy in yield kvmux; do
  what="lost wake-ups under $policy"
  run run --guest pingpong --vms 1 --vcpus 4 --policy $policy --seconds 2 --stall 300ms --plant-lost-wakeups 500 \
    --trace "$dir/trace"
  ended 3
  says '^kvmux: stall: vCPU 0\.[0-3] has been halted with vector 0x[0-9a-f]+ pending for [0-9.]+ .?s: the scheduler lost a wake-up'
  says '^kvmux:   worker 1: .*; thread [0-9]+ .*, [0-9.]+ .?s of CPU'
  says '^kvmux:   queue 0: [0-9]+ runnable'
  says '^kvmux:     RIP 0x[0-9a-f]+ \([a-z_.0-9]+(\+0x[0-9a-f]+)?\), CPL [03], interrupts on'
  says '^kvmux:     LAPIC: IRR 0x[0-9a-f]+'
  says '^kvmux:     latest first: halted@[01] -'
  says "^kvmux: the trace's last 100 ms: |^kvmux: the trace where it began: [0-9]+ events"
  prints '^stall: vCPU 0\.[0-3] has been halted'
  prints '^vm0 '
  "$kvmux" trace runs "$dir/trace" > "$dir/err" 2>&1 || fail "$what: the trace cannot be read"
  says 'stall 1 begins'
done
what='a wake-up that is lost while a comparison measures'
run compare --guest pingpong --vms 1 --vcpus 4 --policies yield,kvmux --repeat 2 --seconds 1.5 --stall 300ms \
  --plant-lost-wakeups 500 --report off
ended 3
says '^kvmux: .*stall.*the scheduler lost a wake-up'

# --- a wait that nobody can end ---
what='a guest that has halted for good'
printf '\xfa\xf4\xeb\xfe' > "$dir/deaf.bin"  # cli; hlt; jmp .
run boot "$dir/deaf.bin" --format flat --load-at 0x7c00 --timeout 30s
ended 1
says '^kvmux: stall: vm0: no vCPU will ever run again: vCPU 0 halted with interrupts off at RIP 0x7c0[12]'
says '^kvmux:   vCPU 0\.0: halted for '
says '^kvmux:     latest first: halted@[01] -'
says '^kvmux: no vCPU will ever run again'

# --- the host's doing ---
# start ARGS…: its process is $pid, and its guests run. finish: waits for it.
start() {
  "$kvmux" "$@" > "$dir/out" 2> "$dir/err" < /dev/null &
  pid=$!
  sleep 1.2
}
finish() {
  wait $pid
  status=$?
}
# stops_a_thread NAME, of whom it is told, carriers
stops_a_thread() {
  start run --guest compute --vms 2 --vcpus 2 --policy yield --carriers $3 --seconds 2.5 --stall 400ms
  "$stop_thread" $pid "$1" 1.2 2> "$dir/why"
  local stopped=$?
  finish
  if [ $stopped -eq 77 ]; then
    echo "not tested, ptrace is not allowed here: $(cat "$dir/why")"
  elif [ $stopped -ne 0 ]; then
    fail "$what: the helper ends with $stopped: $(cat "$dir/why")"
  else
    ended 0
    says "^kvmux: stall: the host stopped $2 \(thread [0-9]+, stopped by a tracer\) for .*: the host's doing, not the scheduler's"
    says '^kvmux:   registers are not known: a worker does not come to a pause'
    silent 'scheduler (lost|passes|did not)'
  fi
}
what='a worker that was stopped'
stops_a_thread kvmux-w1 'worker 1' off
what='a carrier that was stopped'
stops_a_thread kvmux-c1.1 'worker [01]' on
what='a process that was stopped'
start run --guest pingpong --vms 2 --vcpus 2 --policy kvmux --seconds 2.5 --stall 400ms
kill -STOP $pid
sleep 1.2
kill -CONT $pid
finish
ended 0
says "^kvmux: stall: the host stopped kvmux for 1\.[0-9] s .*: the host's doing, not the scheduler's"
silent 'scheduler (lost|passes|did not)'

# --- on request ---
for stall in 2s off; do
  what="SIGUSR1 with --stall $stall"
  start run --guest lock --vms 2 --vcpus 4 --policy yield --seconds 1.5 --stall $stall
  kill -USR1 $pid
  finish
  ended 0
  says '^kvmux: SIGUSR1: what the machine does'
  says '^kvmux:     vCPU [01]\.[0-3](, current)?: vruntime [0-9.]+ ms, deadline [0-9.]+, lag [-+][0-9.]+'
  says '^kvmux:     RIP 0x[0-9a-f]+ \('
  silent '^kvmux: stall'
  prints '^vm0 '
done
what='SIGUSR1 under host'
start run --guest ipi --vms 2 --vcpus 2 --policy host --seconds 1.5
kill -USR1 $pid
finish
ended 0
says '^kvmux:   thread 3: '
says '^kvmux:     LAPIC: IRR '
what='SIGUSR1 to a simulation'
start sim run --guest mixed --vms 4 --vcpus 8 --seconds 30
kill -USR1 $pid 2> /dev/null
finish
ended 0

# --- no false alarms ---
gets_on() {
  what="$*"
  run "$@"
  ended 0
  silent '^kvmux: (stall|something)'
}
long=${KVMUX_STALL_LONG:-}
gets_on run --guest compute --vms 2 --vcpus 64 --workers 1 --policy kvmux --seconds ${long:+1}2
gets_on run --guest mixed --vms 3 --vcpus 4 --policy host-yield --seconds 1.5 --stall 400ms
( for i in 1 2 3 4; do timeout 3 nice -n 0 sh -c 'while :; do :; done' & done; wait ) &
gets_on run --guest lock --vms 3 --vcpus 4 --policy v3 --seconds 2 --stall 500ms
wait
what='a reader that does not read'
{ timeout 60 "$kvmux" run --guest ipi --vms 2 --vcpus 2 --seconds 1.5 --stall 400ms 2> "$dir/err"; echo $? > "$dir/status"; } |
  { sleep 2.5; cat > /dev/null; }
status=$(cat "$dir/status")
ended 0
silent '^kvmux: (stall|something)'
if [ -n "$long" ]; then
  for policy in rr fair yield hier deboost ipi v2 v3 kvmux gang host host-kvm; do
    gets_on run --guest mixed --vms 3 --vcpus 16 --policy $policy --seconds 10 --stall 500ms
    gets_on run --guest lock --lock ticket --vms 2 --vcpus 4 --weight 64,4096 --policy $policy --seconds 10
  done
  gets_on compare --guest ipi,lock --policies yield,kvmux --design switchback --repeat 20 --stall 500ms --report off
fi
exit $failed
