#!/bin/bash
# What is installed runs from where it lies, and the .deb holds it. install_test.sh BUILD_DIR
set -u
build=$(readlink -f "$1")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0
fail() {
  failed=$((failed + 1))
  echo "FAILED: $*"
}

# Files that must be there, below a root.
holds() {  # what, root, paths…
  local what=$1 root=$2 path
  shift 2
  for path in "$@"; do [ -s "$root/$path" ] || fail "$what: no $path"; done
}

installed() {
  DESTDIR=$dir/root cmake --install "$build" --prefix /opt/kvmux > "$dir/install.log" 2>&1 || {
    fail "cmake --install"
    tail -n 5 "$dir/install.log"
    return
  }
  local at=$dir/root/opt/kvmux
  holds install "$at" bin/kvmux share/man/man1/kvmux.1 share/man/man1/kvmux-run.1 share/man/man1/kvmux-sim-sweep.1 \
    share/bash-completion/completions/kvmux share/zsh/site-functions/_kvmux share/doc/kvmux/LICENSE \
    share/doc/kvmux/README.md share/doc/kvmux/docs/statistics.md share/doc/kvmux/guest/abi.h
  [ "$(find "$dir/root" -type f -not -path "$at/*" | wc -l)" -eq 0 ] || fail 'files outside of the prefix'
  # From there, with nothing of the build's folder and nothing of the environment.
  cd / && env -i "$at/bin/kvmux" --version | head -n 1 | grep -qx 'kvmux [0-9.]*' || fail '--version of what is installed'
  env -i "$at/bin/kvmux" sim run --seconds 0.05 | grep -q 'Useful' || fail 'sim run of what is installed'
}

packed() {
  command -v dpkg-deb > /dev/null && command -v dpkg-shlibdeps > /dev/null ||
    { echo 'SKIP the .deb: dpkg-deb and dpkg-shlibdeps (dpkg-dev) are not there'; return; }
  (cd "$build" && cpack -G DEB -B "$dir/deb" > "$dir/cpack.log" 2>&1) || {
    fail 'cpack'
    tail -n 5 "$dir/cpack.log"
    return
  }
  local deb=("$dir"/deb/kvmux_*.deb) needs library
  [ -f "${deb[0]}" ] || { fail "cpack made no kvmux_VERSION_ARCH.deb: $(ls "$dir/deb")"; return; }
  dpkg-deb -x "${deb[0]}" "$dir/x"
  holds 'the .deb' "$dir/x/usr" bin/kvmux share/man/man1/kvmux.1.gz share/man/man1/kvmux-sim-run.1.gz \
    share/bash-completion/completions/kvmux share/zsh/vendor-completions/_kvmux share/doc/kvmux/copyright \
    share/doc/kvmux/changelog.gz share/doc/kvmux/CHANGELOG.md share/doc/kvmux/docs/many-machines.md
  # Every library that the program loads belongs to a package that the .deb names.
  needs=$(dpkg-deb -f "${deb[0]}" Depends)
  while read -r library; do
    # Some libraries are in several packages, for other architectures as well.
    local packages package named=''
    packages=$(dpkg-query -S "*/$library" 2> /dev/null | cut -d: -f1)
    for package in $packages; do grep -qw -- "$package" <<< "$needs" && named=$package; done
    [ -n "$named" ] || fail "the .deb needs $library of one of ${packages//$'\n'/, }, and names none: $needs"
  done < <(objdump -p "$dir/x/usr/bin/kvmux" | awk '/NEEDED/ { print $2 }')
  objdump -p "$dir/x/usr/bin/kvmux" | grep -Eq 'R(UN)?PATH' && fail 'the program looks for libraries where it was built'
  [ "$(stat -c %a "$dir/x/usr/bin/kvmux")" = 755 ] || fail 'the program is not 0755'
  env -i "$dir/x/usr/bin/kvmux" --version > /dev/null || fail 'the packed program does not run'
  cp "${deb[0]}" "${KEEP_DEB:-$dir}/" 2> /dev/null
  echo "$(basename "${deb[0]}"): $(stat -c %s "${deb[0]}") bytes; needs $needs"
}

installed
packed
[ $failed -eq 0 ] && echo 'all held'
exit $((failed != 0))
