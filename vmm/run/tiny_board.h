// The board of a guest that follows guest/abi.h: doorbell, serial console, debug-exit port, and nothing else.
// Whatever else such a guest touches is a mistake that ends it with a message.
//
// Any lease holder of the VM's vCPUs; what they share is locked.
#pragma once

#include <vector>

#include "sched/base/mutex.h"
#include "vmm/device/console.h"
#include "vmm/device/serial.h"
#include "vmm/run/board.h"
#include "vmm/run/vm.h"

namespace vmm {

class TinyBoard final : public Board {
 public:
  // All must outlive the board.
  TinyBoard(Vm& vm, Notifier& notifier, Console& console);

  void ipi(Vcpu& source, const apic::IpiRequest& request) override;
  void end_of_interrupt(Vcpu& vcpu, const apic::EndOfInterrupt& eoi) override;
  Next port_read(Vcpu& vcpu, uint16_t port, std::span<uint8_t> data) override;
  Next port_write(Vcpu& vcpu, uint16_t port, std::span<const uint8_t> data) override;
  Next mmio_read(Vcpu& vcpu, Gpa address, std::span<uint8_t> data) override;
  Next mmio_write(Vcpu& vcpu, Gpa address, std::span<const uint8_t> data) override;
  bool complete_instruction(Vcpu& vcpu) override;
  bool is_ram(Gpa page) const override { return page.value < vm_.memory().size(); }
  Wake may_wake() const override { return Wake::kNothing; }
  void fail(const Vcpu& vcpu, const std::string& why) override;

  // Results of the guest's own checks so far.
  std::vector<CheckResult> checks() const;

 private:
  Next doorbell(Vcpu& vcpu, uint64_t offset, uint64_t value);
  Next log(Vcpu& vcpu, Gpa text);
  Next check(Vcpu& vcpu, Gpa record);
  Next end_badly(Vcpu& vcpu, const std::string& what);

  Vm& vm_;
  Notifier& notifier_;
  Console& console_;
  mutable sched::Mutex mutex_;
  Uart16550 serial_ SCHED_GUARDED_BY(mutex_);
  char sent_ SCHED_GUARDED_BY(mutex_) = 0;  // by the UART's output function
  bool sent_any_ SCHED_GUARDED_BY(mutex_) = false;
  std::vector<CheckResult> checks_ SCHED_GUARDED_BY(mutex_);
};

// Delivers an IPI within one VM and tells the notifier: the sender is recorded before any receiver is woken.
// Shared by all boards.
void deliver_ipi(Vm& vm, Notifier& notifier, Vcpu& source, const apic::IpiRequest& request);

}  // namespace vmm
