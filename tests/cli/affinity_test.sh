#!/bin/bash
# On a host with more CPUs than workers every policy uses the same ones. affinity_test.sh KVMUX CC
# Eight allowed CPUs are pretended, bindings are logged and not carried out.
set -u
kvmux=$1
cc=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
[ -r /dev/kvm ] && [ -w /dev/kvm ] || { echo 'SKIP affinity: no usable /dev/kvm'; exit 77; }
cat > "$dir/eight.c" <<'C'
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int sched_getaffinity(pid_t p, size_t n, cpu_set_t* s) {
  (void)p;
  memset(s, 0, n);
  for (int i = 0; i < 8; i++) CPU_SET_S(i, n, s);
  return 0;
}
int sched_setaffinity(pid_t p, size_t n, const cpu_set_t* s) {
  char line[200];
  int k = snprintf(line, sizeof line, "BOUND");
  (void)p;
  for (int i = 0; i < 64; i++) if (CPU_ISSET_S(i, n, s)) k += snprintf(line + k, sizeof line - (size_t)k, " %d", i);
  line[k++] = '\n';
  return write(2, line, (size_t)k) == k ? 0 : 0;
}
C
"$cc" -shared -fPIC -O1 -o "$dir/eight.so" "$dir/eight.c" || exit 3
bound() {  # policy, flags…: all CPUs that any thread was ever bound to
  LD_PRELOAD=$dir/eight.so timeout 60 "$kvmux" run --guest compute --vms 2 --vcpus 2 --workers 2 --seconds 0.5 --rotate 20ms \
    --policy "$@" 2>&1 > /dev/null | sed -n 's/^BOUND //p' | tr ' ' '\n' | sort -nu | tr '\n' ' '
}
failed=0
wanted=$(bound host)
[ "$(wc -w <<< "$wanted")" -eq 2 ] || { echo "FAILED: host threads on CPUs '$wanted', not on as many as workers"; failed=1; }
for policy in host-yield yield kvmux; do
  got=$(bound $policy)
  [ "$got" = "$wanted" ] || { echo "FAILED: $policy on CPUs '$got', host on '$wanted'"; failed=1; }
done
# Those that are named, for workers, host threads and the calibration.
for policy in host host-yield yield kvmux; do
  got=$(bound $policy --cpus 3,5)
  [ "$got" = '3 5 ' ] || { echo "FAILED: --cpus 3,5: $policy on CPUs '$got'"; failed=1; }
done
got=$(bound yield --cpus 3,5-7 | wc -w)
[ "$got" -eq 2 ] || { echo "FAILED: --cpus 3,5-7: $got CPUs for two workers"; failed=1; }
exit $failed
