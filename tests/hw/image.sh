# Sourced by run.sh: the initial RAM disk of the emulated host. Programs stand in it where they stand here, because tests
# know each other's build paths.
#
# make_root ROOT BUILD_DIR                   what is the same in every cell
# make_initrd ROOT KERNEL_DIR SETTINGS OUT   KVM's modules and the settings of one cell (a file for inside/init)

copy_program() {  # ROOT PROGRAM...: with the libraries that it loads
  local root=$1 program library
  shift
  for program in "$@"; do
    mkdir -p "$root$(dirname "$program")"
    strip -o "$root$program" "$program" 2>/dev/null || cp -L "$program" "$root$program"
    { ldd "$program" 2>/dev/null | grep -oE '/[^ ]+\.so[^ ]*' || true; } | while read -r library; do
      mkdir -p "$root$(dirname "$library")"
      [[ -e $root$library ]] || cp -L "$library" "$root$library"
    done
  done
}

make_root() {
  local root=$1 build=$2 here probe
  here=$(dirname "${BASH_SOURCE[0]}")
  mkdir -p "$root"/{bin,usr/bin,usr/lib,usr/lib64,proc,sys,dev,tmp,modules,etc,hw}
  ln -s usr/lib "$root/lib"
  ln -s usr/lib64 "$root/lib64"
  cp /bin/busybox "$root/bin/busybox"
  cp "$here"/inside/* "$root/hw/"
  mv "$root/hw/init" "$root/init"
  chmod +x "$root/init" "$root"/hw/*
  cp "$here/../cli/cli_test.sh" "$root/hw/"
  for probe in spin_vm sti_hlt first_exit cmpxchg16b; do
    cc -O2 -static -pthread -o "$root/hw/$probe" "$here/probe/$probe.c"
  done
  cc -O2 -static -o "$root/hw/keep_vms" "$here/keep_vms.c"
  copy_program "$root" "$build/kvmux" "$build/kvm" "$build/kvm_boot" /usr/bin/readelf /usr/bin/bash
  ln -sf /usr/bin/bash "$root/bin/bash"
  mkdir -p "$root$build/guests" "$build/guests"
  # ctest builds it as a test of its page.
  [[ -e $build/guests/doc_token.elf ]] ||
    "$here/../unit/guest/doc_guest.sh" "$here/../.." cc "$build/guests/doc_token.elf" || true
  cp -r "$build/test_guests" "$root$build/"
  [[ ! -e $build/guests/doc_token.elf ]] || cp "$build/guests/doc_token.elf" "$root$build/guests/"
  echo "$build" >"$root/hw/build"
}

make_initrd() {
  local root=$1 kernel=$2 settings=$3 out=$4
  rm -f "$root"/modules/*
  cp "$kernel"/modules/*.ko "$root/modules/"
  cp "$settings" "$root/hw/settings"
  (cd "$root" && find . | cpio -o -H newc --quiet) >"$out"
}
