#!/usr/bin/env bash
# Each load of a Linux guest once, in plain QEMU (TCG) with Debian's kernel: ready, go, count, some seconds, count, stop, power-off.
# tests/hw/linux_loads.sh BUILD_DIR [--loads LIST] [--window SECONDS] [--cpus N] [--memory MiB] [--limit SECONDS] [--offline]
#                         [--suite SUITE] [--kernel FILE]
# Exit status: 0 all did; 1 a load did not; 2 bad flags; 77 no QEMU, or no image can be had (said why).
set -uo pipefail
build=$(readlink -f "${1:?BUILD_DIR}")
shift
loads=idle,busy:2,hackbench,cyclictest,dbench:2,sysbench-mutex,sysbench-threads,sysbench-cpu,pigz:2,zstd:2,compile:2,stress-ng,vips
window=5 cpus=2 memory=512 limit=300 image_flags=()
while (($# > 0)); do
  case $1 in
    --loads) loads=$2 ;;
    --window) window=$2 ;;
    --cpus) cpus=$2 ;;
    --memory) memory=$2 ;;
    --limit) limit=$2 ;;
    --suite | --kernel) image_flags+=("$1" "$2") ;;
    --offline) image_flags+=("$1"); shift; continue ;;
    *) echo "unknown flag $1" >&2; sed -n '2,5s/^# //p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
  esac
  shift 2
done
command -v qemu-system-x86_64 >/dev/null || { echo "SKIP: no qemu-system-x86_64 (package qemu-system-x86)"; exit 77; }
ninja -C "$build" --quiet kvmux linux_talk || exit 3
work=$(mktemp -d)
qemu=
trap '[[ -z $qemu ]] || kill "$qemu" 2>/dev/null; rm -rf "$work"' EXIT

# One image for all; vips, which is large, has its own.
image_for() {  # LOADS NAME
  "$build/kvmux" linux-image --load "$1" "${image_flags[@]}" --output "$work/$2" >/dev/null || { echo "SKIP: no image of $1"; return 1; }
}

run_load() {  # LOAD IMAGE
  local load=$1 image=$2 status=0 i
  qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp "$cpus" -m "${memory}M" -no-reboot -display none -monitor none \
    -kernel "$image.vmlinuz" -initrd "$image" -append "console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check kvmux.load=$load" \
    -serial "file:$work/console" -serial "unix:$work/agent,server=on,wait=on" </dev/null &
  qemu=$!
  "$build/linux_talk" "$work/agent" "$load" "$window" "$limit" || status=1
  for ((i = 0; i < 600; ++i)); do kill -0 "$qemu" 2>/dev/null || break; sleep 0.1; done
  if kill "$qemu" 2>/dev/null; then
    echo "$load: FAILED: it did not power off"
    status=1
  fi
  wait "$qemu" 2>/dev/null
  qemu=
  ((status == 0)) || { echo "$load: the console's last lines:"; tail -n 15 "$work/console" | sed 's/^/  | /'; }
  rm -f "$work/agent" "$work/console"
  return "$status"
}

failed=0
rest=$(tr , '\n' <<<"$loads" | grep -v '^vips' | paste -sd,)
[[ -z $rest ]] || image_for "$rest" usual || exit 77
for load in ${loads//,/ }; do
  image=$work/usual
  if [[ $load == vips* ]]; then
    image=$work/vips
    image_for vips vips || continue
  fi
  run_load "$load" "$image" || failed=$((failed + 1))
done
((failed == 0)) && echo "all loads ran"
exit $((failed != 0))
