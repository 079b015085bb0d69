#!/bin/sh
# Runs a program on a host where moving a vCPU to another thread is dear, as before Linux 6.13: it finds a measured 15 ms, and
# so gives each vCPU a carrier. with_dear_moves.sh PROGRAM ARGS…
set -eu
[ -r /proc/sys/kernel/random/boot_id ] || { echo 'SKIP with_dear_moves: the kernel does not name its boot'; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -m 700 "$folder/kvmux"
printf 'move-cost-ns 15000000\nboot %s\nkernel %s\n' "$(cat /proc/sys/kernel/random/boot_id)" "$(uname -r)" >"$folder/kvmux/move-cost-ns"
status=0
KVMUX_TEST_CARRIERS=on XDG_RUNTIME_DIR=$folder "$@" || status=$?
exit $status
