# The suites `linux` and `linux_presets` (sourced by suites.sh): unmodified Linux under kvmux. In /hw/linux: vmlinuz and initrd (what `kvmux
# linux-image` made), vmlinux (another kernel, unpacked: it starts by PVH and by the 64-bit protocol) and check.cpio (tests/hw/guest/check as a first program).
image=kernel=/hw/linux/vmlinuz,initrd=/hw/linux/initrd

# A guest that boots, says what it sees, and ends.
boots() { # KERNEL VCPUS APIC END [FLAGS...]
  local kernel=$1 vcpus=$2 apic=$3 end=$4 quiet=
  shift 4
  [ "$apic" = x2apic ] || quiet=nox2apic
  limited "$kvmux" boot "/hw/linux/$kernel" --initrd /hw/linux/check.cpio --vcpus "$vcpus" --mem 384M --timeout 200s "$@" \
    --cmdline "console=ttyS0 loglevel=5 panic=-1 tsc=reliable rdinit=/check $quiet kvmux.end=$end" >/tmp/guest 2>&1
  local status=$? wanted failed=0
  cat /tmp/guest
  [ "$status" = 0 ] || { echo "FAILED: status $status"; failed=1; }
  for wanted in "cpus $vcpus" "apic $apic" "slept $vcpus"; do
    grep -q "guest: $wanted" /tmp/guest || { echo "FAILED: no line 'guest: $wanted'"; failed=1; }
  done
  if [ "$end" = panic ]; then wanted=1; else wanted=0; fi
  [ "$(grep -c 'Kernel panic' /tmp/guest)" = "$wanted" ] || { echo 'FAILED: panics'; failed=1; }
  ! grep -E 'rcu.*stall|soft lockup|hung task|unstable' /tmp/guest || { echo 'FAILED: trouble in the guest'; failed=1; }
  return $failed
}

boot_case() { # NAME ARGUMENTS OF boots
  local name=$1
  shift
  one_function linux "$name" boots "$@"
}

# Two VMs of one busy vCPU each on one worker: each waits for half of the time that the host leaves the worker, and Linux' account
# agrees with the ledger.
steal_agrees() {
  limited "$kvmux" run --guest "linux,$image,load=busy:1" --vms 2 --vcpus 1 --workers 1 --policy "$1" --seconds 20 --warmup 2 --boot-limit 90s \
    --json /tmp/steal.json || return 1
  # The members of a VM's "linux" are one a line.
  awk -F'[:,]' '
    /"guest_time_ns"/ { time = $2 }
    /"steal_ns"/ { steal = $2 }
    /"waiting_ns"/ { waiting = $2 }
    /"ledger_steal_ns"/ && time > 0 {
      ledger = $2; ++vms
      off = (steal - ledger) / time * 100
      share = (steal - (ledger - waiting)) / time * 100
      printf "VM %d: steal %.0f ms, by the ledger %.0f ms, apart %.2f %% of the window; without what the host took %.2f %%\n", vms - 1, steal / 1e6, ledger / 1e6, off, share
      if (off > 2 || off < -2 || share < 48 || share > 52) failed = 1
      time = 0
    }
    END { exit failed || vms != 2 }' /tmp/steal.json
}

# On one worker whoever looks runs, and the others do not.
sees_preempted() {
  boots vmlinuz 4 x2apic preempted --workers 1 --policy "$1" || return 1
  grep -q 'guest: preempted function yes' /tmp/guest &&
    awk '/guest: preempted others/ { seen = 1; failed = $4 < 95 || $6 > 5 } END { exit !seen || failed }' /tmp/guest
}

compare_load() { # LOAD
  limited "$kvmux" compare --guest "linux,$image,load=$1,memory=512M" --vms 2 --vcpus 2 --workers 2 --policies host,yield,kvmux --repeat 1 \
    --boot-limit 90s --seconds 8 --warmup 2 --max-steal 99% --report off --fail-on-findings
}

# With what it printed, whatever became of it.
shown() { # PATTERN NAME FUNCTION...
  local pattern=$1
  shift
  one_function linux "$@" && grep -E "$pattern" /tmp/out | sed 's/^/hw|log|/'
}

linux_suite() {
  local load
  [ -e /hw/linux/vmlinuz ] || { echo 'hw|log|no image of a guest'; return; }
  boot_case 'boot, 1 vCPU, x2APIC, power-off' vmlinuz 1 x2apic off
  boot_case 'boot, 2 vCPUs, xAPIC, power-off' vmlinuz 2 xapic off
  boot_case 'boot, 8 vCPUs on 2 workers, x2APIC, kvmux' vmlinuz 8 x2apic off --policy kvmux
  boot_case 'boot, 8 vCPUs on 2 workers, xAPIC, kvmux' vmlinuz 8 xapic off --policy kvmux
  boot_case 'boot, 2 vCPUs, LAPICs in KVM, x2APIC' vmlinuz 2 x2apic off --irqchip split
  boot_case 'boot, 2 vCPUs, LAPICs in KVM, xAPIC' vmlinuz 2 xapic off --irqchip split
  boot_case 'boot, 2 vCPUs, PVH' vmlinux 2 x2apic off --format pvh
  boot_case 'boot, 2 vCPUs, vmlinux by the 64-bit protocol' vmlinux 2 x2apic off --format vmlinux
  boot_case 'boot, 2 vCPUs, reboot' vmlinuz 2 x2apic reboot
  boot_case 'boot, 2 vCPUs, panic' vmlinuz 2 x2apic panic
  shown 'guest: preempted' 'vcpu_is_preempted is true for vCPUs that are off, 4 on 1 worker' sees_preempted kvmux
  shown '^VM [0-9]:' 'steal and the ledger, two busy VMs on one worker, kvmux' steal_agrees kvmux
  for load in hackbench dbench:4 sysbench-mutex; do
    shown . "compare $load, 2 x 2" compare_load $load
  done
}

# A minute of guest time each: 4 vCPUs on 1 worker, without a word of trouble in the guest.
linux_presets_suite() {
  local preset
  for preset in $("$kvmux" policies | awk '/^Features/ { exit } /^[a-z]/ { print $1 }'); do
    one_command linux_presets "$preset" \
      "$kvmux" run --guest "linux,$image,load=hackbench" --vms 1 --vcpus 4 --workers 1 --policy "$preset" --seconds 60 --warmup 1 --boot-limit 90s \
      --fail-on-findings
  done
}
