#include "vmm/platform/kvm_bus.h"

#include <sys/ioctl.h>

#include <cstring>
#include <vector>

namespace vmm {
namespace {

// KVM_SET_GSI_ROUTING's argument with room for all pins.
struct Routes {
  uint32_t count = 0;
  uint32_t flags = 0;
  kvm_irq_routing_entry entries[apic::IoApic::kPins]{};
};
constexpr unsigned long kKvmSetGsiRouting =
    _IOW(KVMIO, 0x6a, uint64_t);  // the head has 8 bytes; see ioctl_numbers.h

}  // namespace

bool KvmBus::send(const apic::InterruptMessage& message) {
  const apic::Msi msi = apic::as_msi(message);
  kvm_msi request{};
  request.address_lo = static_cast<uint32_t>(msi.address);
  request.address_hi = static_cast<uint32_t>(msi.address >> 32);
  request.data = msi.data;
  return ::ioctl(vm_.fd(), KVM_SIGNAL_MSI, &request) > 0;
}

void KvmBus::entries_changed(const apic::IoApic& ioapic) {
  Routes routes;
  for (unsigned pin = 0; pin < apic::IoApic::kPins; ++pin) {
    const auto message = ioapic.message(apic::IoApicPin(pin));
    if (!message) continue;
    const apic::Msi msi = apic::as_msi(*message);
    kvm_irq_routing_entry& entry = routes.entries[routes.count++];
    entry.gsi = pin;
    entry.type = KVM_IRQ_ROUTING_MSI;
    entry.u.msi.address_lo = static_cast<uint32_t>(msi.address);
    entry.u.msi.address_hi = static_cast<uint32_t>(msi.address >> 32);
    entry.u.msi.data = msi.data;
  }
  // A refusal costs the EOIs of level-triggered lines, which the guest will notice; there is nobody to tell
  // here.
  static_cast<void>(::ioctl(vm_.fd(), kKvmSetGsiRouting, &routes));
}

}  // namespace vmm
