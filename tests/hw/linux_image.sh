# Sourced by run.sh: what the suites `linux` and `linux_presets` boot.
#
# add_linux_image ROOT, with $build, $linux_image, $guest_kernel, $here and $work set: in ROOT/hw/linux
#   vmlinuz, initrd   the folder that --linux-image names, or an image that kvmux makes now; the kernel of --guest-kernel if that is given
#   vmlinux           the rig's own kernel 6.1, or that of --guest-kernel, unpacked
#   check.cpio        guest/check as a first program, with busybox and guest/preempted.c

# The payload of a bzImage, by the setup header's payload_offset and payload_length (Linux' boot protocol 2.08). Its last four
# bytes are its size, which the codecs do not know.
unpack_kernel() {  # BZIMAGE OUT
  local setup_sectors offset length codec
  setup_sectors=$(od -An -tu1 -j $((0x1f1)) -N 1 "$1" | tr -d ' ')
  read -r offset length < <(od -An -tu4 -j $((0x248)) -N 8 "$1")
  offset=$((offset + (setup_sectors + 1) * 512))
  case $(od -An -tx1 -j "$offset" -N 4 "$1" | tr -d ' ') in
    fd377a58) codec=xz ;;
    28b52ffd) codec=zstd ;;
    1f8b*) codec=gzip ;;
    *) echo "SKIP linux, PVH: $1 is packed in a way that is not known here"; return 1 ;;
  esac
  tail -c +$((offset + 1)) "$1" | head -c $((length - 4)) | "$codec" -dc >"$2"
}

add_linux_image() {
  local to=$1/hw/linux kernel=6.1 extra=$work/check
  mkdir -p "$to" "$extra/bin"
  if [[ -n $linux_image ]]; then
    cp "$linux_image"/{vmlinuz,initrd} "$to/"
  else
    "$build/kvmux" linux-image --load hackbench,dbench,busy,sysbench-mutex --output "$work/guest" &&
      mv "$work/guest.vmlinuz" "$to/vmlinuz" && mv "$work/guest" "$to/initrd" ||
      { echo "SKIP linux: there is no image of a guest"; return; }
  fi
  [[ -z $guest_kernel ]] || kernel=$guest_kernel
  if fetch_kernel "$kernel"; then
    [[ -z $guest_kernel ]] || cp "$kernel_dir/vmlinuz" "$to/vmlinuz"
    unpack_kernel "$kernel_dir/vmlinuz" "$to/vmlinux" || true
  else
    echo "SKIP linux, PVH: $kernel_trouble"
  fi
  cp "$here/guest/check" /bin/busybox "$extra/bin/"
  mv "$extra/bin/check" "$extra/check"
  chmod +x "$extra/check"
  cc -O2 -static -o "$extra/bin/preempted" "$here/guest/preempted.c"
  (cd "$extra" && find . | cpio -o -H newc --quiet) >"$to/check.cpio"
}
