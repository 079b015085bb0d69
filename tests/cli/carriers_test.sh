#!/bin/bash
# --carriers, on this host and on one where moves are dear. carriers_test.sh KVMUX WITH_DEAR_MOVES
set -u
kvmux=$1
dear=$2
[ -r /dev/kvm ] && [ -w /dev/kvm ] || { echo 'SKIP carriers: no usable /dev/kvm'; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0
run=(run --guest pingpong --vms 2 --vcpus 2 --seconds 0.1)
. "$(dirname "$0")/expect.sh"

carried='moves cost .* on this kernel .*: a thread carries each vCPU; a hand-over costs [0-9.]+ (us|ms)'
stays='moves cost 15 ms on this kernel .*: vCPUs stay with the workers where they begin'
ends 0 'carriers on' "$kvmux" "${run[@]}" --carriers on
says "^Moves: $carried" 'carriers on'
for loop in io_uring epoll; do
  ends 0 "carriers on, --event-loop $loop" "$kvmux" "${run[@]}" --carriers on --event-loop $loop
done
ends 0 'carriers off' "$kvmux" "${run[@]}" --carriers off
says_not 'a thread carries' 'carriers off'
ends 0 'dear moves' "$dear" "$kvmux" "${run[@]}"
says "^Moves: moves cost 15 ms .*: a thread carries each vCPU" 'dear moves'
ends 0 'dear moves without carriers' "$dear" "$kvmux" "${run[@]}" --carriers off
says "^Moves: $stays" 'dear moves without carriers'
ends 0 'dear moves, host' "$dear" "$kvmux" "${run[@]}" --policy host
says_not '^Moves:' 'dear moves, host'
ends 0 'a migration cost wins' "$dear" "$kvmux" "${run[@]}" --migration-cost 1s
says 'migration-cost=1s is given: vCPUs stay with the workers where they begin; a thread carries' 'a migration cost wins'
ends 0 'both in one comparison' "$kvmux" compare --guest pingpong --vms 1 --vcpus 2 --policies yield,yield --carriers off,2=on --repeat 2 \
  --seconds 0.05 --out "$dir/both.jsonl" --report off
says "^kvmux: $carried" 'both in one comparison'
ends 2 'one policy, two ways' "$kvmux" "${run[@]}" --carriers off,1=on
ends 2 'a policy that is not there' "$kvmux" compare --policies yield,v2 --carriers 3=on
says "--carriers.*'3'" 'a policy that is not there'
ends 2 '--carriers perhaps' "$kvmux" "${run[@]}" --carriers perhaps
says "--carriers.*'perhaps'.*auto, on, off" '--carriers perhaps'
exit $failed
