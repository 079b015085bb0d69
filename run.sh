#!/usr/bin/env bash
# Builds kvmux and runs it.
#   ./run.sh           the default comparison: four guests, four policies, at most a minute, on this machine
#   ./run.sh test      every test
#   ./run.sh test-hw   the KVM tests on kvm_amd and kvm_intel in emulated machines (tests/hw/README.md)
#   ./run.sh results-hw  a small grid on kvm_intel in a laptop of virtual time, beside the simulator (docs/laptop.md; seven minutes)
#   ./run.sh bench     the micro-benchmarks with their targets; a word after it chooses among them
#   ./run.sh soak      random machines for some time: --minutes N [--seed S]
#   ./run.sh abuse     what an abusing VM costs an innocent one under each preset: [--backend sim] [--seconds S] [--policies LIST]
#   ./run.sh results   measures everything that docs/results shows again (long)
#   ./run.sh ARGS…     kvmux ARGS…
# BUILD_DIR, BUILD_TYPE and CMAKE_ARGS change the build.
set -euo pipefail
export KVMUX_CALLED_AS=$0
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly build_dir=${BUILD_DIR:-build}
readonly packages=(g++ cmake ninja-build pkg-config liburing-dev libcli11-dev libspdlog-dev doctest-dev
                   libexpected-dev nlohmann-json3-dev libbenchmark-dev libzydis-dev libseccomp-dev libncurses-dev
                   zlib1g-dev protobuf-compiler python3)  # the last two for tests alone

say() { printf '%s\n' "$*" >&2; }

install_missing() {  # what every build needs, and these packages
  command -v dpkg-query >/dev/null || return 0  # not Debian: CMake says what it misses
  local missing=() package
  for package in "${packages[@]}" "$@"; do
    dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  ((${#missing[@]} == 0)) && return 0
  local as_root=()
  if ((EUID != 0)); then
    if command -v sudo >/dev/null && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; then
      as_root=(sudo)
    else
      say "These Debian packages are missing. Install them, then run this again:"
      say "  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
      exit 3
    fi
  fi
  say "installing: ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "${missing[@]}" >/dev/null
}

# What only makes things nicer: installed if that asks nothing of the user, tried once a build folder.
want() {  # command, package
  command -v "$1" >/dev/null || [[ -e $build_dir/.tried-$2 ]] && return 0
  command -v apt-get >/dev/null || return 0
  local as_root=()
  if ((EUID != 0)); then sudo -n true 2>/dev/null && as_root=(sudo) || return 0; fi
  say "installing: $2"
  timeout 300 "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" >/dev/null 2>&1 ||
    say "could not be installed: $2"
  mkdir -p "$build_dir"
  touch "$build_dir/.tried-$2"
}

# Emulators, and what unpacks kernels and packs RAM disks.
readonly hw_packages=(qemu-system-x86 busybox-static cpio xz-utils zstd binutils debian-archive-keyring)
readonly vmx_packages=(bochs bochs-term bochsbios vgabios isolinux syslinux-common xorriso python3)

on_hardware() {  # COMMAND SCRIPT ARGS…
  local command=$1 script=$2 more=("${hw_packages[@]}")
  shift 2
  [[ $command != results-hw && " $* " != *" --machine vmx "* ]] || more+=("${vmx_packages[@]}")
  if ! (install_missing "${more[@]}"); then
    echo "SKIP $command: these packages cannot be installed here: ${more[*]}"
    exit 0
  fi
  build kvmux kvm kvm_boot kvmux_test_guests
  exec "$script" "$build_dir" "$@"
}

build() {  # targets…
  install_missing
  want npm npm  # the report's charts
  # shellcheck disable=SC2086  # CMAKE_ARGS is a list
  cmake -G Ninja -S . -B "$build_dir" -DCMAKE_BUILD_TYPE="${BUILD_TYPE:-RelWithDebInfo}" ${CMAKE_ARGS:-} >"$build_dir.log" 2>&1 ||
    { cat "$build_dir.log" >&2; exit 3; }
  rm -f "$build_dir.log"
  ninja -C "$build_dir" --quiet "$@" >&2
}

default_comparison() {
  local backend=(--backend kvm)
  if ! [[ -r /dev/kvm && -w /dev/kvm ]]; then
    say "No usable /dev/kvm here: running the comparison on the simulator (kvmux doctor says what is missing)."
    backend=(--backend sim)
  fi
  say "What the columns mean: README.md, How to read the numbers. The method: docs/statistics.md. More sizes and policies: docs/results.md."
  # A block that has begun is finished, so a minute is over after 57 s and a block.
  "$build_dir/kvmux" compare "${backend[@]}" --guest lock,lock=ticket,ipi,mixed,compute --vms 2 --vcpus 4 --workers 2 \
    --policies host-yield,yield,v2,kvmux --seconds 0.25 --warmup 0.05 --until-settled --max-time 57s --plain \
    --report "$build_dir/report.html"
}

case "${1-}" in
  "")
    build kvmux
    default_comparison
    ;;
  test)
    shift
    want chromium chromium  # the report in a browser
    build all
    log=$build_dir/tests.log
    status=0
    ctest --test-dir "$build_dir" --no-tests=error --output-on-failure --output-log "$log" -V -j "$(nproc)" "$@" >/dev/null || status=$?
    # Of the verbose log: failures in full, how many KVM cases ran and were skipped and why, and ctest's closing lines.
    grep -E 'ERROR|FAILED|\bSKIP|KVM test cases' "$log" || true
    sed -n '/tests passed/,$p' "$log"
    exit "$status"
    ;;
  test-hw)
    shift
    on_hardware test-hw tests/hw/run.sh "$@"
    ;;
  results-hw)
    shift
    on_hardware results-hw tests/hw/results.sh "$@"
    ;;
  bench)
    shift
    build all
    exec tests/bench/run.sh "$build_dir" "$@"
    ;;
  soak)
    shift
    build kvmux_soak
    exec "$build_dir/kvmux_soak" "$@"
    ;;
  abuse)
    shift
    build kvmux_abuse
    exec "$build_dir/kvmux_abuse" "$@"
    ;;
  results)
    shift
    build kvmux
    exec docs/make-results.sh "$build_dir" "$@"
    ;;
  *)
    build kvmux
    exec "$build_dir/kvmux" "$@"
    ;;
esac
