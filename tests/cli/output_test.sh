#!/bin/bash
# Where results and messages go when standard descriptors are closed and readers are blocked, gone or full.
# output_test.sh KVMUX. In the simulator, but for the cases that need /dev/kvm, which are skipped without it.
set -u
kvmux=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
ran=0
failed=0
skipped=0
run=(sim run --guest mixed --vcpus 2 --seconds 0.02)
compare=(sim compare --guest lock --vcpus 2 --vms 1 --policies yield,v2 --repeat 5 --seconds 0.02)
whole=130000  # bytes: more than a pipe holds

fail() {
  failed=$((failed + 1))
  echo "FAILED: $*"
  sed 's/^/  err: /' "$dir/err" 2> /dev/null | head -n 10
}

# ends STATUS WHAT: the last command did, whose status is in $got.
ends() {
  ran=$((ran + 1))
  [ "$got" -eq "$1" ] || fail "$2: exit $got, not $1"
}

says() { grep -Eq -- "$1" "$dir/err" || fail "$2: nothing says '$1'"; }

# Each way to print results. What is closed or full is said, and ends with 3.
lost_results() {
  local flag
  for flag in "" "--json -" "--csv -" "--markdown -"; do
    local command
    for command in run compare; do
      [ $command = run ] && [ "$flag" != "" ] && [ "$flag" != "--json -" ] && continue
      local words=("${run[@]}")
      [ $command = compare ] && words=("${compare[@]}")
      timeout 60 "$kvmux" "${words[@]}" $flag > /dev/full 2> "$dir/err"
      got=$?
      ends 3 "$command $flag to a full disk"
      says 'standard output.*bytes were not written' "$command $flag to a full disk"
      timeout 60 "$kvmux" "${words[@]}" $flag >&- 2> "$dir/err"
      got=$?
      ends 3 "$command $flag without standard output"
      says 'standard output' "$command $flag without standard output"
      # The reader goes at once; the result must not fit into what the pipe still takes.
      { timeout 60 "$kvmux" "${words[@]}" $flag 2> "$dir/err"; echo $? > "$dir/status"; } | true
      got=$(cat "$dir/status")
      ran=$((ran + 1))
      case $got in 0 | 3) ;; *) fail "$command $flag, its reader gone: exit $got" ;; esac
    done
  done
}

# Nobody reads: it waits; Ctrl-C ends it within a second or so, and what is lost is said.
blocked_results() {
  mkfifo "$dir/pipe"
  exec 8<> "$dir/pipe"
  head -c $whole /dev/zero | timeout 1 cat >&8 # full
  local flag
  for flag in "" "--json -" "--csv -" "--markdown -"; do
    timeout 60 "$kvmux" "${compare[@]}" $flag >&8 2> "$dir/err" 8>&- &
    local pid=$!
    local i
    for i in $(seq 200); do
      kill -0 $pid 2> /dev/null || break
      [ -s "$dir/err" ] && [ "$i" -gt 20 ] && break
      sleep 0.1
    done
    kill -0 $pid 2> /dev/null || fail "compare $flag with a blocked reader did not wait for it"
    local begin=$SECONDS
    kill -INT $pid
    wait $pid
    got=$?
    ran=$((ran + 1))
    # A result that was complete keeps its status; the loss is said.
    case $got in 0 | 3 | 130) ;; *) fail "compare $flag with a blocked reader and Ctrl-C: exit $got" ;; esac
    [ $((SECONDS - begin)) -lt 20 ] || fail "compare $flag with a blocked reader: Ctrl-C took $((SECONDS - begin)) s"
    says 'does not read: [0-9]+ bytes were not written' "compare $flag with a blocked reader"
  done
  # A second signal ends it at once, with 130 although the result was complete. It is stopped meanwhile, so that its patience cannot be over.
  "$kvmux" "${compare[@]}" >&8 2> "$dir/err" 8>&- &
  pid=$!
  sleep 2
  kill -INT $pid
  sleep 0.1
  kill -STOP $pid
  sleep 0.3
  kill -INT $pid
  kill -CONT $pid
  wait $pid
  got=$?
  ends 130 "compare with a blocked reader and two times Ctrl-C"
  exec 8>&-
}

# A file of results that is a pipe nobody opens: Ctrl-C ends the wait.
fifo_file() {
  mkfifo "$dir/fifo"
  "$kvmux" "${run[@]}" --json "$dir/fifo" > /dev/null 2> "$dir/err" &
  local pid=$!
  sleep 2
  kill -0 $pid 2> /dev/null || fail '--json FIFO that nobody reads: it did not wait'
  kill -INT $pid
  local begin=$SECONDS
  wait $pid
  got=$?
  ran=$((ran + 1))
  case $got in 3 | 130) ;; *) fail "--json FIFO and Ctrl-C: exit $got" ;; esac
  [ $((SECONDS - begin)) -lt 20 ] || fail '--json FIFO: Ctrl-C did not end it'
  # With a reader it arrives whole.
  timeout 60 cat "$dir/fifo" > "$dir/read" &
  timeout 60 "$kvmux" "${run[@]}" --json "$dir/fifo" > /dev/null 2> "$dir/err"
  got=$?
  wait $!
  ends 0 '--json FIFO with a reader'
  tail -c 2 "$dir/read" | grep -q '}' || fail '--json FIFO with a reader: not whole'
}

# Every combination of closed standard descriptors: what is opened meanwhile never takes their numbers, and the
# status tells whether results are lost.
closed_descriptors() {
  local closed status
  for closed in "0" "1" "2" "0 1" "0 2" "1 2" "0 1 2"; do
    status=0
    case $closed in *1*) status=3 ;; esac
    (
      case $closed in *0*) exec 0<&- ;; esac
      case $closed in *1*) exec 1>&- ;; *) exec 1> /dev/null ;; esac
      case $closed in *2*) exec 2>&- ;; *) exec 2> "$dir/err" ;; esac
      exec timeout 60 "$kvmux" "${run[@]}"
    )
    got=$?
    ends $status "descriptors $closed closed"
    [ "$kvm" = 1 ] || continue
    (
      case $closed in *0*) exec 0<&- ;; esac
      case $closed in *1*) exec 1>&- ;; *) exec 1> /dev/null ;; esac
      case $closed in *2*) exec 2>&- ;; *) exec 2> "$dir/err" ;; esac
      exec "$kvmux" run --guest compute --vms 1 --vcpus 1 --seconds 30
    ) &
    local pid=$! i seen=0 wrong=0 # the VM that calibrates comes and goes: both are looked at together
    for i in $(seq 300); do
      readlink /proc/$pid/fd/[012] 2> /dev/null | grep -q kvm && wrong=1
      readlink /proc/$pid/fd/* 2> /dev/null | grep -q kvm-vcpu && seen=1 && break
      sleep 0.1
    done
    ran=$((ran + 1))
    readlink /proc/$pid/fd/[012] 2> /dev/null | grep -q kvm && wrong=1
    [ $seen = 1 ] || fail "descriptors $closed closed: no vCPU in 30 s"
    [ $wrong = 0 ] || fail "descriptors $closed closed: KVM's became standard ones"
    kill -INT $pid
    wait $pid
    got=$?
    ends 130 "descriptors $closed closed and Ctrl-C"
  done
}

# Ctrl-C while kvmux calibrates (the first thing it does) and while it makes many VMs.
early_interrupts() {
  local words
  for words in "--vms 1 --vcpus 1" "--vms 60 --vcpus 8"; do
    local delay
    for delay in 0.05 0.3 0.8; do
      "$kvmux" run --guest compute $words --seconds 60 > /dev/null 2> "$dir/err" &
      local pid=$! begin=$SECONDS i
      for i in $(seq 100); do
        grep -q SigCgt.*2 /proc/$pid/status 2> /dev/null && break # its handler is there
        sleep 0.01
      done
      sleep $delay
      kill -INT $pid
      wait $pid
      got=$?
      ends 130 "Ctrl-C $delay s after the start of $words"
      [ $((SECONDS - begin)) -lt 45 ] || fail "Ctrl-C $delay s after the start of $words: the run went on"
    done
  done
}

kvm=0
[ -r /dev/kvm ] && [ -w /dev/kvm ] && kvm=1
lost_results
blocked_results
fifo_file
closed_descriptors
if [ $kvm = 1 ]; then
  early_interrupts
else
  skipped=$((skipped + 1))
  echo "SKIP KVM's descriptors and Ctrl-C during set-up: /dev/kvm cannot be used"
fi
echo "output: $ran cases ran, $failed failed, $skipped groups skipped"
[ $failed -eq 0 ]
