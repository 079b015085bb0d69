#!/usr/bin/env bash
# Builds kvmux and runs it.
#   ./run.sh           the default comparison: four guests, four policies, at most a minute, on this machine
#   ./run.sh test      every test
#   ./run.sh bench     the micro-benchmarks with their targets; a word after it chooses among them
#   ./run.sh results   measures everything that docs/results shows again (long)
#   ./run.sh ARGS…     kvmux ARGS…
# BUILD_DIR, BUILD_TYPE and CMAKE_ARGS change the build.
set -euo pipefail
export KVMUX_CALLED_AS=$0
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly build_dir=${BUILD_DIR:-build}
readonly packages=(g++ cmake ninja-build pkg-config liburing-dev libcli11-dev libspdlog-dev doctest-dev
                   libexpected-dev nlohmann-json3-dev libbenchmark-dev libzydis-dev)

say() { printf '%s\n' "$*" >&2; }

install_missing() {
  command -v dpkg-query >/dev/null || return 0  # not Debian: CMake says what it misses
  local missing=() package
  for package in "${packages[@]}"; do
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

build() {  # targets…
  install_missing
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
  # A block that has begun is finished, so a minute is over after 57 s and a block.
  "$build_dir/kvmux" compare "${backend[@]}" --guest lock,lock=ticket,ipi,mixed,compute --vms 2 --vcpus 4 --workers 2 \
    --policies host-yield,yield,v2,kvmux --seconds 0.25 --warmup 0.05 --until-settled --max-time 57s --plain
  say "
The columns: README.md, How to read the numbers. The method: docs/statistics.md. More sizes and policies: docs/results.md."
}

case "${1-}" in
  "")
    build kvmux
    default_comparison
    ;;
  test)
    shift
    build all
    log=$build_dir/tests.log
    status=0
    ctest --test-dir "$build_dir" --no-tests=error --output-on-failure --output-log "$log" -V "$@" >/dev/null || status=$?
    # Of the verbose log: failures in full, how many KVM cases ran and were skipped and why, and ctest's closing lines.
    grep -E 'ERROR|FAILED|\bSKIP|KVM test cases' "$log" || true
    sed -n '/tests passed/,$p' "$log"
    exit "$status"
    ;;
  bench)
    shift
    build all
    exec tests/bench/run.sh "$build_dir" "$@"
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
