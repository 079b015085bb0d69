// candidates=priorities: the three priorities of the series. An awaited IPI receiver, a pending interrupt,
// preempted.
#include "sched/yield/scan.h"

namespace sched {

std::optional<uint32_t> candidates::priorities(Scan& scan) {
  return scan.round([&](uint32_t index, Status::View vcpu) -> std::optional<YieldReason> {
    const SpinScan& spin = scan.spin();
    if (spin.ipi != nullptr && spin.ipi->awaits(spin.me, index, spin.now)) return YieldReason::kIpiReceiver;
    if (vcpu.irq_pending()) return YieldReason::kPendingInterrupt;
    if (!vcpu.preempted() || (spin.in_kernel && !vcpu.preempted_in_kernel())) return std::nullopt;
    return YieldReason::kPreempted;
  });
}

}  // namespace sched
