#include "vmm/platform/kvm_bus.h"

#include <cpuid.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "vmm/kvm/ioctl_numbers.h"

namespace vmm {
namespace {

constexpr int kMostTries = 10;

// CPUID: VMX or SVM.
bool has_hardware_virtualization() {
  constexpr unsigned kVmx = 1u << 5;
  constexpr unsigned kSvm = 1u << 2;
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) != 0 && (c & kVmx) != 0) return true;
  return __get_cpuid(0x80000001, &a, &b, &c, &d) != 0 && (c & kSvm) != 0;
}

}  // namespace

KvmBus::KvmBus(const VmFd& vm) : vm_(vm), hardware_virtualization_(has_hardware_virtualization()) {}

bool KvmBus::send(const apic::InterruptMessage& message) {
  const apic::Msi msi = apic::as_msi(message);
  kvm_msi request{};
  request.address_lo = static_cast<uint32_t>(msi.address);
  request.address_hi = static_cast<uint32_t>(msi.address >> 32);
  request.data = msi.data;
  // 0 and errors alike: nobody took it (KVM answers EPERM where no local APIC is addressed), and it is held.
  return ::ioctl(vm_.fd(), KVM_SIGNAL_MSI, &request) > 0;
}

int KvmBus::entries_changed(const apic::IoApic& ioapic) {
  Routes routes;
  for (unsigned pin = 0; pin < apic::IoApic::kPins; ++pin) {
    apic::InterruptMessage message = ioapic.message(apic::IoApicPin(pin));
    const bool wanted = message.trigger == apic::TriggerMode::kLevel || apic::IoApicPin(pin) == kTimerPin;
    if (!wanted || !apic::is_legal(message.vector)) continue;
    message.trigger = apic::TriggerMode::kLevel;
    const apic::Msi msi = apic::as_msi(message);
    kvm_irq_routing_entry& entry = routes.entries[routes.count++];
    entry.gsi = pin;
    entry.type = KVM_IRQ_ROUTING_MSI;
    entry.u.msi.address_lo = static_cast<uint32_t>(msi.address);
    entry.u.msi.address_hi = static_cast<uint32_t>(msi.address >> 32);
    entry.u.msi.data = msi.data;
  }
  if (std::memcmp(&routes, &routes_, sizeof(routes)) == 0) return 0;
  for (int tries = 0; tries < kMostTries; ++tries) {
    if (::ioctl(vm_.fd(), kKvmSetGsiRouting, &routes) == 0) {
      routes_ = routes;
      return 0;
    }
    if (errno != EINTR && errno != ENOMEM && errno != EAGAIN) break;
  }
  return errno;
}

}  // namespace vmm
