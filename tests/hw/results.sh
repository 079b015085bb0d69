#!/usr/bin/env bash
# A small grid of real kvmux on real kvm_intel in Bochs' virtual time, where nothing disturbs a run, beside what the simulator
# predicts with the costs that the doctor measured there. Writes docs/laptop.md and docs/results/laptop/.
#   results.sh BUILD_DIR [--cpus LIST] [--seconds N] [--repeat N] [--kernel VERSION]
# --cpus (1) machines to measure; --seconds (0.04) of virtual time a run; --repeat (3) blocks. With one emulated CPU about seven minutes, boot
# included, whatever else this machine does; four CPUs take five minutes to boot and three quarters of a minute a run.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$(realpath "$1")
shift
cpu_list=1 seconds=0.04 repeat=3 kernel=7.3
while (($# > 0)); do
  case $1 in
    --cpus | --seconds | --repeat | --kernel) (($# > 1)) || { echo "$1 needs a value" >&2; exit 2; } ;;
    *) echo "$1: not a flag of results-hw; accepted: --cpus --seconds --repeat --kernel" >&2; exit 2 ;;
  esac
  case $1 in
    --cpus) cpu_list=$2 ;;
    --seconds) seconds=$2 ;;
    --repeat) repeat=$2 ;;
    --kernel) kernel=$2 ;;
  esac
  shift 2
done
work=$(mktemp -d "${TMPDIR:-/tmp}/kvmux-laptop-XXXXXX")
trap 'rm -rf "$work"' EXIT

# The files that a machine sent out: NAME → $work/CPUS/NAME.
unpack() {  # CPUS LOG
  local name
  mkdir -p "$work/$1"
  sed -n 's/^ *| file //p' "$2" | cut -d' ' -f1 | sort -u | while read -r name; do
    sed -n "s/^ *| file $name //p" "$2" | base64 -d | gunzip >"$work/$1/$name"
  done
}

for cpus in ${cpu_list//,/ }; do
  KVMUX_HW_ENV="results_seconds=$seconds results_repeat=$repeat" "$here/run.sh" "$build" --machine vmx --kernels "$kernel" \
    --cpus "$cpus" --seconds 14400 --case-seconds 7200 --script "$here/inside_results.sh" |
    tee "$work/log" | grep -v '^ *| file ' || true
  unpack "$cpus" "$work/log"
  [[ -s $work/$cpus/doctor.json ]] || { echo "results-hw: nothing was measured with $cpus CPUs" >&2; exit 1; }
  rm -rf "$root/docs/results/laptop/$cpus"
  mkdir -p "$root/docs/results/laptop"
  cp -r "$work/$cpus" "$root/docs/results/laptop/$cpus"
  AGREEMENT_PROFILE=$work/$cpus/doctor.json AGREEMENT_RESULTS=$work/$cpus AGREEMENT_OUT=$work/page-$cpus \
    "$root/docs/make-agreement.sh" "$build"
done

{
  printf '# A laptop in virtual time\n\nWritten by `./run.sh results-hw`: kvmux on the real kvm_intel of Linux %s in Bochs, whose clock counts instructions\n' "$kernel"
  printf '(3.5 GHz, one a tick), so that no other program disturbs it; %s block(s) of %s s of that time. Beside each ratio to `yield` what the\n' "$repeat" "$seconds"
  printf 'simulator predicts with the costs that `kvmux doctor` measured in the same boot. Raw lines: docs/results/laptop.\n'
  for cpus in ${cpu_list//,/ }; do
    printf '\n## %s\n\n' "$([[ $cpus == 1 ]] && echo 'One CPU' || echo "$cpus CPUs")"
    sed -n '/^| measured/,$p' "$work/page-$cpus" | sed 's/^## /### /'
  done
} >"$root/docs/laptop.md"
echo "wrote docs/laptop.md"
