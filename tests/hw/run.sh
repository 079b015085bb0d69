#!/usr/bin/env bash
# The suites on real kvm_amd and kvm_intel, without the hardware: Debian's kernels in emulators. README.md beside this file.
#   test-hw [--short | --matrix [--afresh]] [--kernels LIST] [--cpus LIST] [--machine svm|vmx] [--npt on|off]
#     [--ignore-msrs on|off] [--irqchip user|split] [--suites LIST] [--select FILE] [--seconds N] [--case-seconds N] [--silence N]
#     [--linux-image DIR] [--guest-kernel VERSION] [--script FILE] [--qemu auto|installed|fetched]
# Prints a line a case. Exit status: 0 all passed, 1 a case failed, 2 bad flags, 3 nothing could be run.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=kernel.sh
. "$here/kernel.sh"
# shellcheck source=image.sh
. "$here/image.sh"
# shellcheck source=linux_image.sh
. "$here/linux_image.sh"
# shellcheck source=emulator.sh
. "$here/emulator.sh"
# shellcheck source=machine.sh
. "$here/machine.sh"

build=$(realpath "$1")
shift
mode=full kernels=6.1 cpu_list=4 machine=svm npt=on ignore_msrs=off irqchip=user suites='kvm,boot,cli,smoke' selection=
seconds= case_seconds=300 silence= script= linux_image= guest_kernel= afresh=0 qemu_choice=auto

usage() { echo "$1" >&2; exit 2; }

one_of() {  # FLAG VALUE ACCEPTED...
  local flag=$1 value=$2 word
  shift 2
  for word in "$@"; do [[ $word == "$value" ]] && return; done
  usage "$flag $value: accepted are $*"
}

read_flags() {
  while (($# > 0)); do
    case $1 in
      --short) mode=short; shift; continue ;;
      --matrix) mode=matrix; shift; continue ;;
      --afresh) afresh=1; shift; continue ;;
      --kernels | --cpus | --machine | --npt | --ignore-msrs | --irqchip | --suites | --select | --seconds | --case-seconds | --silence | \
        --linux-image | --guest-kernel | --script | --qemu) ;;
      *) usage "$1: not a flag of test-hw; accepted: $(sed -n '3,5s/^# *//p' "${BASH_SOURCE[0]}" | tr -s ' \n' ' ')" ;;
    esac
    (($# > 1)) || usage "$1 needs a value"
    case $1 in
      --kernels) kernels=$2 ;;
      --cpus) cpu_list=$2 ;;
      --machine) one_of "$1" "$2" svm vmx; machine=$2 ;;
      --npt) one_of "$1" "$2" on off; npt=$2 ;;
      --ignore-msrs) one_of "$1" "$2" on off; ignore_msrs=$2 ;;
      --irqchip) one_of "$1" "$2" user split; irqchip=$2 ;;
      --suites) suites=$2 ;;
      --select) [[ -r $2 ]] || usage "--select $2: no such file"; selection=$2 ;;
      --seconds) seconds=$2 ;;
      --case-seconds) case_seconds=$2 ;;
      --silence) silence=$2 ;;
      --qemu) one_of "$1" "$2" auto installed fetched; qemu_choice=$2 ;;
      --linux-image) [[ -r $2/vmlinuz && -r $2/initrd ]] || usage "--linux-image $2: a folder with vmlinuz and initrd is needed"; linux_image=$2 ;;
      --guest-kernel) guest_kernel=$2 ;;
      --script) [[ -r $2 ]] || usage "--script $2: no such file"; script=$2; suites=script ;;
    esac
    shift 2
  done
  local value suite
  for value in ${cpu_list//,/ } ${seconds:-1} "$case_seconds" ${silence:-1}; do [[ $value =~ ^[1-9][0-9]*$ ]] || usage "$value: a whole number from 1 is needed"; done
  for suite in ${suites//,/ }; do one_of --suites "$suite" kvm boot cli smoke linux linux_presets probe script; done
}

needs() {  # PROGRAM_OR_FILE PACKAGE: sets $missing
  command -v "$1" >/dev/null || [[ -e $1 ]] || missing+=("$2")
}

check_tools() {
  missing=()
  needs cpio cpio; needs xz xz-utils; needs zstd zstd; needs /bin/busybox busybox-static; needs readelf binutils
  if [[ $machine == vmx ]]; then
    needs bochs bochs; needs "/usr/lib/$(uname -m)-linux-gnu/bochs/plugins/libbx_term_gui.so" bochs-term; needs xorriso xorriso; needs python3 python3
    needs /usr/lib/ISOLINUX/isolinux.bin isolinux; needs /usr/lib/syslinux/modules/bios/ldlinux.c32 syslinux-common
  fi
  ((${#missing[@]} == 0)) && return
  echo "SKIP test-hw: these Debian packages are missing: ${missing[*]}"
  return 1
}

write_settings() {  # [SUITE|NAME to begin with, 1: behind it]
  local vendor=kvm-amd options="npt=$([[ $npt == on ]] && echo 1 || echo 0)"
  [[ $machine == svm ]] || { vendor=kvm-intel; options="ept=${options#npt=}"; }
  {
    echo "vendor=$vendor"
    echo "vendor_options='$options'"
    echo "kvm_options='ignore_msrs=$([[ $ignore_msrs == on ]] && echo 1 || echo 0)'"
    echo "suites='${suites//,/ }'"
    echo "selection='${selection:+select}'"
    echo "case_seconds=$case_seconds"
    echo "irqchip=$irqchip"
    printf 'resume_at=%q resume_behind=%s\n' "${1-}" "${2:-0}"
    echo "smoke_policies='yield fair v2 v3 kvmux'"
    echo "export KVMUX_SLOW_HOST=1 ${KVMUX_HW_ENV-}"
  } >"$work/settings"
  [[ -z $selection ]] || grep -v -e '^#' -e '^$' "$selection" >"$work/tree/hw/select"
  [[ -z $script ]] || cp "$script" "$work/tree/hw/script"
}

# Serial lines on standard input: a readable line for each. Sets $started, $ended, $silent, $at (the case under way, SUITE|NAME) and
# $last (that which ended last), and adds to $passed, $failed, $skipped and $red.
show_results() {
  local line kind suite status ms name reason limit=$((SECONDS + $1)) left verdict
  started=0 ended=0 silent=0 at='' last=''
  while left=$((limit - SECONDS)) && ((left > 0)); do
    if ! IFS= read -r -t $((left < silence ? left : silence)) line; then
      (($? > 128)) && silent=1
      break
    fi
    line=${line%$'\r'}
    echo "$line" >>"$work/console"
    [[ $line == *hw\|* ]] || { [[ -z ${KVMUX_HW_VERBOSE-} ]] || echo "      $line"; continue; }
    line="hw|${line#*hw|}"  # a message of the kernel may stand in front
    IFS='|' read -r _ kind suite status ms name reason <<<"$line"
    case $kind in
      start) started=1; echo "      Linux $suite, $status CPUs, clock $ms" ;;
      begin) at="$suite|$status" ;;
      log) echo "      | ${line#hw|log|}" ;;
      case)
        at='' last="$suite|$name" verdict=$status
        [[ $last != "$dead" || $status != PASS ]] || reason="at the second try"
        printf '%-7s %-5s %5d.%d s  %s%s\n' "$verdict" "$suite" $((ms / 1000)) $((ms % 1000 / 100)) "$name" "${reason:+ ($reason)}"
        case $status in
          PASS) passed=$((passed + 1)) ;;
          SKIP) skipped=$((skipped + 1)) ;;
          *) failed=$((failed + 1)) red+="; $suite: $name" ;;
        esac
        ;;
      end) ended=1 ;;
    esac
  done
}

# One boot, watched: a machine that says nothing for $silence seconds, its beats included, is killed.
boot_once() {
  local emulator
  rm -f "$work/serial_lines"
  mkfifo "$work/serial_lines"
  : >"$work/console"
  (exec >"$work/serial_lines" 2>&1; "boot_$machine" "$work/initrd") &
  emulator=$!
  show_results "${seconds:-$([[ $mode == short ]] && echo 420 || echo 2400)}" <"$work/serial_lines"
  kill "$emulator" 2>/dev/null || true
  sleep 1
  kill -KILL "$emulator" 2>/dev/null || true
  wait "$emulator" 2>/dev/null || true
}

# All cases of a cell: after a boot that ended in the middle of a case, another goes on with that case, and a second one behind
# it. The emulated host itself does not always come up; that is told from the death of a case by its silence.
run_cell() {
  local boots=0 failed_boots=0 resume_at='' behind=0 begun=$SECONDS
  local -r most_boots=12
  local started ended silent at last dead='' passed=0 failed=0 skipped=0 red='' how
  silence=${silence:-$([[ $machine == svm ]] && echo 120 || echo 900)}
  echo "== $cell"
  while ((boots < most_boots)); do
    boots=$((boots + 1))
    write_settings "$resume_at" "$behind"
    make_initrd "$work/tree" "$kernel_dir" "$work/settings" "$work/initrd"
    boot_once
    ((!ended)) || break
    how=$(((silent)) && echo "said nothing for $silence s" || echo ended)
    if ((!started)); then
      failed_boots=$((failed_boots + 1))
      echo "      the emulated host did not come up, it $how: $(tail -n 1 "$work/console")"
      ((failed_boots < 3)) && continue
      break
    fi
    echo "DIED    the emulated host $how in ${at:-no case}; its last words: $(grep -v 'hw|' "$work/console" | tail -n 1)"
    if [[ -n $at && $at != "$dead" ]]; then
      dead=$at resume_at=$at behind=0
    elif [[ -n $at ]]; then
      failed=$((failed + 1)) red+="; ${at/|/: } (the emulated host $how, twice)"
      resume_at=$at behind=1
    elif [[ -n $last ]]; then
      resume_at=$last behind=1
    fi
  done
  if ((passed + failed + skipped == 0)); then
    no_boot=$((no_boot + 1))
    row="| $cell | – | – | – | the emulated host did not come up |"
    return
  fi
  ((ended)) || { failed=$((failed + 1)) red+="; what comes after ${last/|/: } (no boot came to its end)"; }
  echo "      $passed passed, $failed failed, $skipped skipped, $boots boots, $((SECONDS - begun)) s"
  total_passed=$((total_passed + passed)) total_failed=$((total_failed + failed)) total_skipped=$((total_skipped + skipped))
  row="| $cell | $passed | $failed | $skipped | ${red#; } |"
}

# Once for each build: what the matrix has in its folder is not done again.
run_cell_once() {
  local kept
  if [[ $mode != matrix ]]; then run_cell; return; fi
  kept=$kept_cells/$(tr -c 'a-zA-Z0-9.\n' - <<<"$cell")
  if [[ -e $kept ]]; then
    echo "== $cell: done before"
  else
    run_cell
    [[ $row == *'did not come up'* ]] || echo "$row" >"$kept"
  fi
  [[ ! -e $kept ]] || row=$(cat "$kept")
  echo "$row" >>"$work/table"
}

run_cells() {  # of these $kernels and $cpu_list
  local kernel
  for kernel in ${kernels//,/ }; do
    kernel_trouble=
    if ! fetch_kernel "$kernel"; then
      echo "SKIP Linux $kernel: $kernel_trouble"
      not_had=$((not_had + 1))
      continue
    fi
    for cpus in ${cpu_list//,/ }; do
      cell="$kernel, $cpus CPUs, $([[ $machine == svm ]] && echo kvm_amd || echo kvm_intel)"
      [[ $npt == on ]] || cell+=", no nested paging"
      [[ $ignore_msrs == off ]] || cell+=", ignore_msrs"
      [[ $irqchip == user ]] || cell+=", split"
      run_cell_once
    done
  done
}

short_selection() {
  selection=${selection:-$here/short.txt}
  kernels=6.1 cpu_list=4 run_cells
  selection=$here/smoke.txt kernels=7.3 cpu_list=2 run_cells
}

# The short selection in every cell, or what --select names: all suites take hours.
whole_matrix() {
  selection=${selection:-$here/short.txt}
  kernels=6.1,6.12,7.3 cpu_list=1,2,4,8 run_cells
  npt=off kernels=6.1,7.3 cpu_list=2 run_cells
  ignore_msrs=on kernels=6.1,7.3 cpu_list=2 run_cells
  irqchip=split suites=smoke kernels=6.1,6.12,7.3 cpu_list=2 run_cells
}

# Between its marks in docs/hardware.md.
publish_table() {
  local page=$here/../../docs/hardware.md
  sed -i -e '/^<!-- matrix -->$/,/^<!-- end of matrix -->$/{//!d}' "$page"
  {
    echo "QEMU $qemu_version."
    echo
    echo "| kernel, CPUs, KVM | passed | failed | skipped | what failed |"
    echo "|---|---|---|---|---|"
    cat "$work/table"
  } >"$work/page"
  sed -i "/^<!-- matrix -->\$/r $work/page" "$page"
}


read_flags "$@"
check_tools || exit 0
if [[ $machine == svm ]]; then
  choose_qemu "$qemu_choice" || { echo "SKIP test-hw: $qemu_trouble"; exit 0; }
  echo "   QEMU $qemu_version"
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/kvmux-hw-XXXXXX")
trap 'rm -rf "$work"' EXIT
# By the program that is tested, so that another build begins anew.
kept_cells=$build/hw-matrix/$(sha256sum "$build/kvmux" "$build/kvm" "$build/kvm_boot" | sha256sum | cut -c -16)-qemu-${qemu_version-none}
((!afresh)) || rm -rf "$kept_cells"
[[ $mode != matrix ]] || mkdir -p "$kept_cells"
no_boot=0 not_had=0 total_passed=0 total_failed=0 total_skipped=0
make_root "$work/tree" "$build"
[[ -z $linux_image && $suites != *linux* ]] || add_linux_image "$work/tree"
case $mode in
  short) short_selection ;;
  matrix) whole_matrix ;;
  full) run_cells ;;
esac
echo "test-hw: $total_passed passed, $total_failed failed, $total_skipped skipped; $no_boot did not boot, $not_had kernels not to be had; $SECONDS s"
[[ $mode != matrix || ! -e $work/table ]] || publish_table
((total_failed == 0)) || exit 1
((no_boot == 0 || total_passed > 0)) || exit 3
