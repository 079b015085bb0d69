// The interrupt bus of a VM whose local APICs are inside KVM (KVM_CAP_SPLIT_IRQCHIP): messages go there as
// MSIs. KVM tells the end of an interrupt (KVM_EXIT_IOAPIC_EOI) only for vectors that it finds in
// level-triggered routes of the IOAPIC's pins. So the routes say whose ends are wanted: of level-triggered
// entries, masked or not (an entry may be masked while its interrupt is in service), and of the timer's pin,
// whose ticks are counted, whatever its trigger mode. Nothing is ever sent by way of a route.
//
// Any thread; the board's lock is held.
#pragma once

#include "vmm/kvm/vm.h"
#include "vmm/platform/pc_board.h"

namespace vmm {

class KvmBus final : public InterruptBus {
 public:
  // Must outlive the bus.
  explicit KvmBus(const VmFd& vm);
  bool send(const apic::InterruptMessage& message) override;
  int entries_changed(const apic::IoApic& ioapic) override;
  // Where the processor ends edge-triggered interrupts by itself (AMD's AVIC), KVM does not see it.
  bool tells_edge_ends() const override { return false; }
  // So it is with kvm-pvm, which runs guests without the processor's virtualization.
  bool ends_early() const override { return !hardware_virtualization_; }
  // KVM's LAPICs do not say that they have been enabled.
  std::optional<Nanos> retry_every() const override { return Nanos{4'000'000}; }

 private:
  // KVM_SET_GSI_ROUTING's argument with room for all pins. No padding between fields: compared byte by byte.
  struct Routes {
    uint32_t count = 0;
    uint32_t flags = 0;
    kvm_irq_routing_entry entries[apic::IoApic::kPins]{};
  };

  const VmFd& vm_;
  const bool hardware_virtualization_;
  Routes routes_;  // as KVM has them. Setting them anew makes all vCPUs look: only where they differ
};

}  // namespace vmm
