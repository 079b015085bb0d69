/* Keeps VMs as long as it lives, so that the emulated host does not patch its own code while tests run.
 *
 * KVM turns code on by patching it (static keys) when the first VM or vCPU of some kind comes, and off with the last: the
 * scheduler's preemption notifiers with any VM, and its own paths for vCPUs without a LAPIC of KVM's, or with one that is
 * disabled. A processor may meet the INT3 that stands there meanwhile, and QEMU's TCG may execute it from its cache after
 * it has gone: then the kernel oopses. With these VMs there is always one more.
 *
 * Needs nothing but libc. Without /dev/kvm, or where VMs cannot be made, it says so and ends. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int failed(const char* what) {
  fprintf(stderr, "keep_vms: %s: %s\n", what, strerror(errno));
  return 1;
}

int main(void) {
  const int kvm = open("/dev/kvm", O_RDWR);
  if (kvm < 0) return failed("/dev/kvm");
  const int user = ioctl(kvm, KVM_CREATE_VM, 0);
  if (user < 0 || ioctl(user, KVM_CREATE_VCPU, 0) < 0) return failed("a VM without LAPICs");
  const int split = ioctl(kvm, KVM_CREATE_VM, 0);
  struct kvm_enable_cap lapics = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {24}};
  if (split < 0 || ioctl(split, KVM_ENABLE_CAP, &lapics) != 0) return failed("a VM with LAPICs");
  if (ioctl(split, KVM_CREATE_VCPU, 0) < 0) return failed("a vCPU with a LAPIC");
  for (;;) pause();
}
