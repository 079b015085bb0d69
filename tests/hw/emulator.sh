# Sourced by run.sh: a QEMU whose SVM keeps its promises, for any user and without installing it. QEMU 7.2 (Debian 12) does not load the
# interrupt shadow on VMRUN, so that guests lose wake-ups (probe/sti_hlt.c); 10.0 and 11.1 do.
#
# choose_qemu auto|installed|fetched: sets $qemu (a command) and $qemu_version. `auto`: the installed one from version 10 on, else one
# fetched from Debian's backports and kept in the cache, with the libraries it needs; the installed one if that cannot be had.
# Returns 1 and sets $qemu_trouble if there is none. Needs kernel.sh.

readonly first_good_qemu=10
readonly qemu_dir=$hw_cache/qemu qemu_suite=trixie-backports

major_of() { "$1" --version 2>/dev/null | sed -n 's/^QEMU emulator version \([0-9]*\).*/\1/p'; }

# All that it depends on comes with it, as if nothing were installed: its libc is newer than this system's.
fetch_qemu() {
  local work root libraries
  [[ -x $qemu_dir/qemu ]] && return 0
  prepare_apt || { qemu_trouble=$kernel_trouble; return 1; }
  work=$(mktemp -d "$hw_cache/fetch-XXXXXX")
  mkdir -p "$work"/cache/archives/partial "$work/tree/root"
  : >"$work/status"
  if ! apt-get "${apt_options[@]}" -o "Dir::Cache=$work/cache" -o "Dir::State::status=$work/status" -o Debug::NoLocking=1 \
    install -y -qq -d --no-install-recommends -t "$qemu_suite" qemu-system-x86 >"$work/log" 2>&1; then
    qemu_trouble="no QEMU from $qemu_suite: $(tail -n 1 "$work/log")"
    rm -rf "$work"
    return 1
  fi
  local deb
  for deb in "$work"/cache/archives/*.deb; do dpkg -x "$deb" "$work/tree/root"; done
  root=$qemu_dir/root libraries=$qemu_dir/root/usr/lib/x86_64-linux-gnu
  cat >"$work/tree/qemu" <<SCRIPT
#!/bin/sh
QEMU_MODULE_DIR=$libraries/qemu exec $libraries/ld-linux-x86-64.so.2 --library-path $libraries \\
  $root/usr/bin/qemu-system-x86_64 -L $root/usr/share/qemu -L $root/usr/share/seabios "\$@"
SCRIPT
  chmod +x "$work/tree/qemu"
  rm -rf "$qemu_dir"
  mv "$work/tree" "$qemu_dir"
  rm -rf "$work"
}

choose_qemu() {
  local installed major
  installed=$(command -v qemu-system-x86_64 || true)
  major=$([[ -z $installed ]] || major_of "$installed")
  qemu_trouble=
  if [[ $1 == installed || ($1 == auto && ${major:-0} -ge $first_good_qemu) ]]; then
    qemu=$installed
    [[ -n $qemu ]] || qemu_trouble='no qemu-system-x86_64 is installed'
  elif fetch_qemu; then
    qemu=$qemu_dir/qemu
  else
    [[ $1 == auto && -n $installed ]] || return 1
    echo "      $qemu_trouble; QEMU $major is used, whose SVM loses wake-ups (docs/hardware.md)"
    qemu=$installed
  fi
  [[ -n $qemu ]] || return 1
  qemu_version=$("$qemu" --version | sed -n 's/^QEMU emulator version \([^ ]*\).*/\1/p')
}
