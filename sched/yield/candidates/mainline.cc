// candidates=mainline: kvm_vcpu_on_spin() of Linux 6.19.
#include "sched/yield/scan.h"

namespace sched {

// The one condition: when spinning in kernel mode, leave out who was preempted in user mode, unless it has an
// interrupt to take.
std::optional<uint32_t> candidates::mainline(Scan& scan) {
  return scan.round([&](uint32_t, Status::View vcpu) -> std::optional<YieldReason> {
    if (scan.spin().in_kernel && vcpu.preempted() && !vcpu.irq_pending() && !vcpu.preempted_in_kernel()) {
      return std::nullopt;
    }
    return vcpu.irq_pending() ? YieldReason::kPendingInterrupt : YieldReason::kPreempted;
  });
}

}  // namespace sched
