#!/bin/bash
# --event-loop, on a host with io_uring and on one that forbids it. event_loop_test.sh KVMUX WITHOUT_IO_URING
set -u
kvmux=$1
without=$2
[ -r /dev/kvm ] && [ -w /dev/kvm ] || { echo 'SKIP event_loop: no usable /dev/kvm'; exit 77; }
"$without" /bin/true || { echo 'SKIP event_loop: no seccomp'; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0
run=(run --guest pingpong --vms 1 --vcpus 2 --seconds 0.1)
. "$(dirname "$0")/expect.sh"

for loop in auto epoll; do
  ends 0 "--event-loop $loop" "$kvmux" "${run[@]}" --event-loop $loop
  ends 0 "--event-loop $loop without io_uring" "$without" "$kvmux" "${run[@]}" --event-loop $loop
done
ends 3 '--event-loop io_uring without io_uring' "$without" "$kvmux" "${run[@]}" --event-loop io_uring
says 'kvmux: io_uring_setup: .*EPERM.*io_uring is switched off here' '--event-loop io_uring without io_uring'
ends 2 '--event-loop select' "$kvmux" "${run[@]}" --event-loop select
says "--event-loop.*'select'.*auto, io_uring, epoll" '--event-loop select'
ends 0 'doctor without io_uring' "$without" "$kvmux" doctor
says '^warn  event loop: epoll: .*because io_uring_setup: .*EPERM' 'doctor without io_uring'
exit $failed
