#!/bin/bash
# Kicks that fail: tgkill needs an entry of a pool that RLIMIT_SIGPENDING bounds. Every n-th one fails, all of them
# fail, or the pool holds no more than the workers' timers. lost_kick_test.sh KVMUX CC
# Right: the run's result, or a message and status 3; and Ctrl-C ends it.
set -u
kvmux=$1
cc=$2
[ -r /dev/kvm ] && [ -w /dev/kvm ] || { echo 'SKIP lost_kick: no usable /dev/kvm'; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat > "$dir/failing.c" << 'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
long syscall(long nr, ...) {
  static long calls;
  static long (*real)(long, ...);
  static int every;
  long a[6];
  va_list v;
  va_start(v, nr);
  for (int i = 0; i < 6; i++) a[i] = va_arg(v, long);
  va_end(v);
  if (!real) {
    every = atoi(getenv("FAIL_EVERY"));
    real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  }
  if (nr == SYS_tgkill && __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) % every == 0) {
    errno = EAGAIN;
    return -1;
  }
  return real(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}
C
"$cc" -shared -fPIC -O1 -w -o "$dir/failing.so" "$dir/failing.c" -ldl || exit 3
failed=0
run=(run --guest mixed --vms 2 --vcpus 2 --workers 2 --seconds 0.3)

# judge WHAT STATUS: the output is in $dir/out and $dir/err.
judge() {
  if [ "$2" -eq 0 ]; then
    grep -q '^all ' "$dir/out" && return
  elif [ "$2" -eq 3 ]; then
    grep -q '^kvmux: .' "$dir/err" && return
  fi
  failed=1
  echo "FAILED: $1: exit $2"
  sed 's/^/  /' "$dir/err"
}

for policy in yield kvmux host; do
  for every in 1 2 7; do
    FAIL_EVERY=$every LD_PRELOAD=$dir/failing.so timeout -k 1 60 "$kvmux" "${run[@]}" --policy $policy > "$dir/out" 2> "$dir/err"
    judge "$policy, every ${every}th kick fails" $?
  done
done

# Ctrl-C while no kick goes through.
FAIL_EVERY=1 LD_PRELOAD=$dir/failing.so "$kvmux" run --guest compute --vms 2 --vcpus 2 --workers 2 --seconds 600 \
  > "$dir/out" 2> "$dir/err" &
pid=$!
sleep 3
kill -INT $pid
for i in $(seq 300); do kill -0 $pid 2> /dev/null || break; sleep 0.1; done
if kill -KILL $pid 2> /dev/null; then
  failed=1
  echo 'FAILED: Ctrl-C did not end a run whose kicks fail'
fi
wait $pid 2> /dev/null

# As many pending signals as timers, under a user of its own, who must have none elsewhere.
if [ "$(id -u)" -eq 0 ] && command -v setpriv > /dev/null && command -v prlimit > /dev/null; then
  uid=$((1000000 + RANDOM))
  group=$(stat -c %g /dev/kvm)
  chmod 755 "$dir"
  cp "$kvmux" "$dir/kvmux" && chmod 755 "$dir/kvmux"
  as_user=(setpriv --reuid $uid --regid "$group" --clear-groups)
  if "${as_user[@]}" test -r /dev/kvm -a -w /dev/kvm -a -x "$dir/kvmux"; then
    for i in 1 2 3; do
      timeout -k 1 60 prlimit --sigpending=2 "${as_user[@]}" "$dir/kvmux" "${run[@]}" > "$dir/out" 2> "$dir/err"
      judge "two pending signals, run $i" $?
    done
    timeout -k 1 60 prlimit --sigpending=1 "${as_user[@]}" "$dir/kvmux" "${run[@]}" > "$dir/out" 2> "$dir/err"
    judge 'one pending signal for two workers' $?
  fi
fi

# A maker may block what it likes: the workers' signal is theirs.
if env --block-signal=HUP true 2> /dev/null; then
  timeout -k 1 60 env --block-signal=37 "$kvmux" run --guest compute --vms 2 --vcpus 2 --workers 2 --seconds 0.2 > "$dir/out" 2> "$dir/err"
  judge 'started with SIGRTMIN+3 blocked' $?
fi
exit $failed
