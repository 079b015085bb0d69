// Who is told that something happened to a vCPU's interrupts: the M:N machine with its scheduler, or the
// thread-per-vCPU baseline. Any thread; boards call it right after the LAPIC was changed.
#pragma once

#include "sched/ipi/model.h"
#include "vmm/ids.h"

namespace vmm {

class Notifier {
 public:
  virtual ~Notifier() = default;
  // An interrupt or event was posted to this vCPU's LAPIC: wake it, or make it look if it runs.
  virtual void interrupt_posted(sched::VcpuId target) = 0;
  // A Fixed IPI, before it is visible to any receiver: an EOI that follows finds it recorded.
  virtual void ipi_sending(VmId, const sched::IpiSend&) {}
  // The same once it is posted, with those who took it. Comes before interrupt_posted() for them.
  virtual void ipi_sent(VmId vm, const sched::IpiSend& send, const sched::VcpuSet& accepted) = 0;
  virtual void eoi(sched::VcpuId receiver, sched::IrqVector vector) = 0;
  // The VM has ended: its vCPUs must leave the guest and stop.
  virtual void vm_ended(VmId vm) = 0;
};

}  // namespace vmm
