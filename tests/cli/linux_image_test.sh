#!/bin/bash
# `kvmux linux-image` with packages made up here, without network; then from Debian's mirror, if there is one.
# linux_image_test.sh KVMUX CC
set -u
kvmux=$1
cc=$2
for tool in dpkg-deb cpio sha256sum; do
  command -v $tool > /dev/null || { echo "SKIP: $tool is not installed"; exit 77; }
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0
fail() {
  failed=$((failed + 1))
  echo "FAILED: $*"
}
export XDG_CACHE_HOME=$dir/cache
packages=$XDG_CACHE_HOME/kvmux/linux/packages-madeup
lib=usr/lib/x86_64-linux-gnu

# package NAME DEPENDS: what lies in $dir/NAME.
package() {
  mkdir -p "$dir/$1/DEBIAN" "$packages"
  printf 'Package: %s\nVersion: 1.0\nArchitecture: amd64\nMaintainer: a <a@b>\nDescription: a\nDepends: %s\n' "$1" "$2" > "$dir/$1/DEBIAN/control"
  [ -n "$2" ] || sed -i /Depends/d "$dir/$1/DEBIAN/control"
  dpkg-deb -b "$dir/$1" "$packages/${1}_1.0_amd64.deb" > "$dir/log" 2>&1 || { cat "$dir/log"; exit 3; }
}
# A program that needs a library of another package, which needs one of a third.
mkdir -p "$dir"/{pigz/usr/bin,libdeep0/$lib,libfoo-bar1/$lib/private,libc6/lib64,busybox-static/bin}
echo 'int deep(void) { return 1; }' > "$dir/deep.c"
echo 'int deep(void); int foo(void) { return deep(); }' > "$dir/foo.c"
echo 'int foo(void); int main(void) { return foo(); }' > "$dir/main.c"
flags=(-nostdlib -O1 -fPIC -Wl,--build-id=none)
"$cc" "${flags[@]}" -shared -Wl,-soname,libdeep.so.0 -o "$dir/libdeep0/$lib/libdeep.so.0.1" "$dir/deep.c" &&
  "$cc" "${flags[@]}" -shared -Wl,-soname,libfoo_bar.so.1 -o "$dir/libfoo-bar1/$lib/private/libfoo_bar.so.1" "$dir/foo.c" "$dir/libdeep0/$lib/libdeep.so.0.1" &&
  "$cc" "${flags[@]}" -Wl,-e,main -Wl,-dynamic-linker,/lib64/ld-linux-x86-64.so.2 -Wl,--allow-shlib-undefined -o "$dir/pigz/usr/bin/pigz" "$dir/main.c" "$dir/libfoo-bar1/$lib/private/libfoo_bar.so.1" ||
  exit 3
ln -s libdeep.so.0.1 "$dir/libdeep0/$lib/libdeep.so.0"
mkdir -p "$dir/libc6/lib/x86_64-linux-gnu"
echo loader > "$dir/libc6/lib/x86_64-linux-gnu/ld-2.so"
ln -s /lib/x86_64-linux-gnu/ld-2.so "$dir/libc6/lib64/ld-linux-x86-64.so.2"  # as Debian has it: not this machine's
echo busybox > "$dir/busybox-static/bin/busybox"
package pigz 'libc6 (>= 2.34), nosuch | libfoo-bar1'
package libfoo-bar1 'libdeep0'
package libdeep0 ''
package libc6 ''
package busybox-static ''
# The least that counts as a bzImage: the boot sector's magic number and "HdrS".
head -c 4096 /dev/zero > "$dir/kernel"
printf '\x55\xaaxxHdrS\x0f\x02' | dd of="$dir/kernel" bs=1 seek=510 conv=notrunc status=none

image() { "$kvmux" linux-image --suite madeup "$@" > "$dir/out" 2> "$dir/err"; }
image --offline --load pigz:2,busy --kernel "$dir/kernel" --output "$dir/a.cpio" || fail "made-up packages: $(cat "$dir/err")"
cpio -t --quiet < "$dir/a.cpio" > "$dir/names" 2> "$dir/err" || fail "cpio -t: $(cat "$dir/err")"
for name in init bin/busybox bin/sh usr/bin/pigz lib64/ld-linux-x86-64.so.2 lib/x86_64-linux-gnu/libfoo_bar.so.1 lib/x86_64-linux-gnu/libdeep.so.0 dev/console; do
  grep -qx "$name" "$dir/names" || fail "$name is not in the image: $(tr '\n' ' ' < "$dir/names")"
done
sort -c "$dir/names" 2> /dev/null || LC_ALL=C sort -c "$dir/names" || fail 'names are not in order'
mkdir "$dir/x" && (cd "$dir/x" && cpio -id --quiet --no-preserve-owner < ../a.cpio 2> /dev/null)
cmp "$dir/x/usr/bin/pigz" "$dir/pigz/usr/bin/pigz" || fail 'pigz is not as it was'
[ "$(cat "$dir/x/lib64/ld-linux-x86-64.so.2")" = loader ] || fail 'the loader is not as it was'
cmp "$dir/x/lib/x86_64-linux-gnu/libdeep.so.0" "$dir/libdeep0/$lib/libdeep.so.0.1" || fail 'libdeep is not as it was'
[ "$(stat -c %a:%Y "$dir/x/init")" = 755:0 ] || [ -x "$dir/x/init" ] || fail 'the agent cannot be run'
grep -qx 'pigz 1.0' "$dir/a.cpio.versions" && grep -qx 'libdeep0 1.0' "$dir/a.cpio.versions" || fail "versions: $(cat "$dir/a.cpio.versions")"
cmp "$dir/kernel" "$dir/a.cpio.vmlinuz" || fail 'the kernel is not as it was'

# The same inputs, the same bytes; also packed, and in the cache.
sleep 1.1
image --offline --load busy,pigz --kernel "$dir/kernel" --output "$dir/b.cpio" || fail "again: $(cat "$dir/err")"
[ "$(sha256sum < "$dir/a.cpio")" = "$(sha256sum < "$dir/b.cpio")" ] || fail 'two images of the same differ'
for name in c d; do image --offline --load pigz --compress gzip --kernel "$dir/kernel" --output "$dir/$name.gz" || fail "gzip: $(cat "$dir/err")"; done
cmp "$dir/c.gz" "$dir/d.gz" || fail 'two packed images of the same differ'
zcat "$dir/c.gz" | cmp - "$dir/a.cpio" || fail 'packed, it is another'
image --offline --load pigz --kernel "$dir/kernel" || fail "into the cache: $(cat "$dir/err")"
grep -q "^RAM disk  $XDG_CACHE_HOME/kvmux/linux/image-madeup-[0-9a-f]*.cpio " "$dir/out" || fail "paths: $(cat "$dir/out")"
[ -z "$(find "$XDG_CACHE_HOME" -name 'work-*')" ] || fail 'it leaves its work behind'

# What cannot be is said.
refused() {  # STATUS WORDS ARGS…
  local status=$1 words=$2
  shift 2
  image "$@"
  local got=$?
  [ $got -eq "$status" ] || fail "$*: status $got, not $status"
  grep -q -- "$words" "$dir/err" || fail "$*: no '$words' in: $(cat "$dir/err")"
}
refused 3 'package zstd of Debian.s madeup: not in .*packages-madeup, and --offline. With a network, run `kvmux linux-image` once' --offline --load zstd --kernel "$dir/kernel"
refused 3 'package linux-image-cloud-amd64' --offline --load pigz
refused 2 '--load pgz: no such load of a Linux guest (did you mean pigz?)' --load pgz
refused 2 "--kernel $dir/main.c: no Linux kernel" --offline --load pigz --kernel "$dir/main.c"
refused 2 '--kernel .*/nosuch: .*accepted are a path, debian and boot' --offline --load pigz --kernel "$dir/nosuch"
refused 2 "--compress: 'lzma' is not accepted" --compress lzma
refused 2 '--suite' --suite '../x'
rm "$packages"/libdeep0_*
refused 3 'package libdeep0' --offline --load pigz --kernel "$dir/kernel"
"$kvmux" linux-image --list | grep -q '^dbench .*CLIENTS' || fail '--list'

# From Debian, if it answers.
if ! command -v apt-get > /dev/null || ! timeout 20 bash -c 'exec 3<> /dev/tcp/deb.debian.org/80' 2> /dev/null; then
  echo 'SKIP packages from the network: no apt-get, or deb.debian.org does not answer'
elif timeout 400 "$kvmux" linux-image --suite bookworm --load pigz --kernel "$dir/kernel" --output "$dir/n.cpio" > "$dir/out" 2> "$dir/err"; then
  cpio -t --quiet < "$dir/n.cpio" | grep -qx lib/x86_64-linux-gnu/libc.so.6 || fail 'no libc.so.6 for pigz'
  timeout 100 "$kvmux" linux-image --suite bookworm --load pigz --kernel "$dir/kernel" --output "$dir/o.cpio" --offline > "$dir/out" 2> "$dir/err" ||
    fail "offline with a cache: $(cat "$dir/err")"
  cmp "$dir/n.cpio" "$dir/o.cpio" || fail 'offline makes another image'
elif grep -qE 'Failed to fetch|Could not (resolve|connect)|is missing \(package' "$dir/err"; then
  echo "SKIP packages from the network: $(tail -n 1 "$dir/err")"
else
  fail "packages from the network: $(cat "$dir/err")"
fi
[ $failed -eq 0 ] && echo 'all held'
exit $((failed != 0))
