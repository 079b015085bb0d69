// The interrupt bus of a VM whose local APICs are inside KVM (KVM_CAP_SPLIT_IRQCHIP): messages go there as
// MSIs. KVM tells the end of a level-triggered interrupt (KVM_EXIT_IOAPIC_EOI) only for vectors that it finds
// in routes of the IOAPIC's pins, so these follow the redirection entries.
//
// Any thread; the board's lock is held.
#pragma once

#include "vmm/kvm/vm.h"
#include "vmm/platform/pc_board.h"

namespace vmm {

class KvmBus final : public InterruptBus {
 public:
  // Must outlive the bus.
  explicit KvmBus(const VmFd& vm) : vm_(vm) {}
  bool send(const apic::InterruptMessage& message) override;
  void entries_changed(const apic::IoApic& ioapic) override;

 private:
  const VmFd& vm_;
};

}  // namespace vmm
