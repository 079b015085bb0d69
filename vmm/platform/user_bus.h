// The interrupt bus of a VM whose local APICs are ours: messages are posted to them at once. Any thread.
#pragma once

#include "apic/router.h"
#include "vmm/platform/pc_board.h"

namespace vmm {

class UserBus final : public InterruptBus {
 public:
  // Both must outlive the bus.
  UserBus(Vm& vm, Notifier& notifier) : vm_(vm), notifier_(notifier) {}

  bool send(const apic::InterruptMessage& message) override {
    const auto report = apic::deliver(vm_.lapics(), message, [this](apic::TargetIndex target) {
      notifier_.interrupt_posted(vm_.vcpu(VcpuIndex{apic::raw(target)}).id);
    });
    return report.accepted > 0;
  }
  int entries_changed(const apic::IoApic&) override { return 0; }
  bool tells_edge_ends() const override { return true; }
  bool ends_early() const override { return false; }
  std::optional<Nanos> retry_every() const override {
    return std::nullopt;
  }  // acceptance_changed() says when

 private:
  Vm& vm_;
  Notifier& notifier_;
};

}  // namespace vmm
