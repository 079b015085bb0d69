# Sourced by run.sh: the emulated machines. Each becomes the emulator (exec), prints the emulated host's serial port and ends when
# that powers off, or by SIGTERM.
#
# boot_svm INITRD / boot_vmx INITRD, with $kernel_dir, $cpus, $work and $qemu (emulator.sh) set.

readonly kernel_options="console=ttyS0 quiet panic=-1 nokaslr tsc=reliable edd=off mitigations=off"

# QEMU's TCG emulates SVM with nested paging. Emulated hosts of 2 CPUs with more memory have locked up while booting (6.1).
boot_svm() {
  exec "$qemu" -accel "tcg,thread=multi${KVMUX_HW_ACCEL-}" -cpu max -smp "$cpus" \
    -m $((cpus < 4 ? 2 : 3))G -kernel "$kernel_dir/vmlinuz" -initrd "$1" -append "$kernel_options ${KVMUX_HW_APPEND-}" \
    -nographic -no-reboot -monitor none -serial stdio ${KVMUX_HW_QEMU-} </dev/null
}

# Bochs emulates VMX with EPT, in virtual time: the kernel's clock is the model's TSC. It boots from a CD, wants a terminal,
# and its `term` display opens another one that somebody has to read: bochs_terminal.py.
boot_vmx() {
  local iso=$work/iso
  rm -rf "$iso"
  mkdir -p "$iso/isolinux"
  cp "$kernel_dir/vmlinuz" "$iso/"
  gzip -1c "$1" >"$iso/initrd"
  cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$iso/isolinux/"
  printf 'default l\ntimeout 1\nlabel l\n kernel /vmlinuz\n append initrd=/initrd noxsave %s\n' \
    "$kernel_options ${KVMUX_HW_APPEND-}" >"$iso/isolinux/isolinux.cfg"
  xorriso -as mkisofs -quiet -o "$work/boot.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot \
    -boot-load-size 4 -boot-info-table "$iso" 2>/dev/null
  cat >"$work/bochsrc" <<CONFIG
config_interface: textconfig
display_library: term
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
cpu: model=corei7_skylake_x, count=$cpus, ips=100000000, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest=1024, host=1024
ata0-master: type=cdrom, path=$work/boot.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$work/serial
log: $work/bochs.log
panic: action=fatal
clock: sync=none, time0=946684800
CONFIG
  echo c >"$work/bochs.rc"
  : >"$work/serial"
  exec python3 "$(dirname "${BASH_SOURCE[0]}")/bochs_terminal.py" "$work/serial" \
    bochs -q -f "$work/bochsrc" -rc "$work/bochs.rc"
}
