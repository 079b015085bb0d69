#!/bin/bash
# The .deb in a clean Debian 12 of its own: installs with what it names and nothing else, runs, and goes without a trace.
# chroot_test.sh BUILD_DIR [FOLDER]   needs root, debootstrap or mmdebstrap, and a Debian mirror
# FOLDER keeps the clean system for the next time. Takes minutes; by command, not in ctest.
set -u
here=$(dirname "$(readlink -f "$0")")
build=$(readlink -f "$1")
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
dir=$(mktemp -d)
clean=${2:-$dir/clean}
root=$dir/root
cleanup() {
  mountpoint -q "$root/proc" && umount "$root/proc"
  rm -rf --one-file-system "$dir"
}
trap cleanup EXIT
fail() {
  echo "FAILED: $*"
  exit 1
}
skip() {
  echo "SKIP the package in a clean Debian: $*"
  exit 77
}

[ "$(id -u)" -eq 0 ] || skip 'needs root, to make a chroot'
if [ ! -x "$clean/usr/bin/dpkg" ]; then
  mkdir -p "$clean"
  if command -v mmdebstrap > /dev/null; then
    mmdebstrap --variant=apt bookworm "$clean" "$mirror" > "$dir/log" 2>&1 || { tail -n 3 "$dir/log"; skip 'mmdebstrap failed'; }
  elif command -v debootstrap > /dev/null; then
    debootstrap --variant=minbase bookworm "$clean" "$mirror" > "$dir/log" 2>&1 || { tail -n 3 "$dir/log"; skip 'debootstrap failed'; }
  else
    skip 'neither mmdebstrap nor debootstrap is installed'
  fi
fi
cp -a "$clean" "$root"
mount -t proc proc "$root/proc" 2> /dev/null || true
cp /etc/resolv.conf "$root/etc/resolv.conf" 2> /dev/null || true
in_root() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 HOME=/root chroot "$root" "$@"; }

KEEP_DEB=$dir "$here/install_test.sh" "$build" || fail 'the package is not what it should be'
deb=$(basename "$dir"/kvmux_*.deb)
cp "$dir/$deb" "$root/tmp/"
in_root dpkg-query -W | LC_ALL=C sort > "$dir/before"
in_root apt-get update -qq > "$dir/log" 2>&1 || { tail -n 3 "$dir/log"; skip 'no Debian mirror answers'; }
in_root apt-get install -y --no-install-recommends "/tmp/$deb" > "$dir/log" 2>&1 || { tail -n 5 "$dir/log"; fail 'it does not install'; }
echo "installed with: $(in_root dpkg-query -W | LC_ALL=C sort | LC_ALL=C comm -13 "$dir/before" - | cut -f1 | tr '\n' ' ')"

in_root kvmux --version > "$dir/version" || fail 'kvmux --version'
sed 's/^/  /' "$dir/version"
in_root kvmux sim run --guest lock --policy kvmux --seconds 0.2 > "$dir/run" || fail 'kvmux sim run'
grep -q 'Useful' "$dir/run" || fail 'kvmux sim run prints no result'
in_root kvmux sim compare --guest lock --policies yield,kvmux --repeat 3 --seconds 0.1 --plain --report /report.html 2> /dev/null | tail -n 3
grep -q '</html>' "$root/report.html" || fail 'the report is not whole'
rm "$root/report.html"
in_root kvmux run > /dev/null 2> "$dir/err"
[ $? -eq 3 ] || fail 'without /dev/kvm a run must end with 3'
in_root kvmux doctor > "$dir/doctor" 2>&1
grep -q '/dev/kvm' "$dir/doctor" && grep -Eq '^ +[$#] ' "$dir/doctor" || fail 'doctor says nothing that mends a missing /dev/kvm'
[ -s "$root/usr/share/man/man1/kvmux-run.1.gz" ] || fail 'no man page'
in_root bash -c '. /usr/share/bash-completion/completions/kvmux && complete -p kvmux' > /dev/null || fail 'the completion cannot be sourced'

in_root apt-get purge -y kvmux > "$dir/log" 2>&1 || fail 'it cannot be removed'
left=$(find "$root" -xdev -not -path "$root/proc/*" -not -path "$root/var/*" -not -path "$root/tmp/*" -iname '*kvmux*' | head)
[ -z "$left" ] || fail "left behind: $left"
echo 'all held'
