// candidates=kvmux: guesses at who is waited for, the surest first.
#include "sched/yield/scan.h"

namespace sched {
namespace {

// Who is likely to hold what the yielder waits for. Whoever held a lock while others ran made them spin, so
// the holder is among those that left without spinning, and most likely the last of them: those that left
// before it were followed by progress. Who was taken off at the end of a donated turn has let go of it. That
// it was at work is not checked: whoever has been woken since, or never ran, qualifies as well, by the time
// of its halt or as the last.
std::optional<uint32_t> holder(Scan& scan) {
  return scan.most(
      [&](uint32_t index, Status::View vcpu) {
        return !vcpu.spinning() && !scan.spin().after_donation[index].load(std::memory_order_relaxed);
      },
      [](const Progress& progress) { return progress.off_since.load(std::memory_order_relaxed); },
      YieldReason::kHolder);
}

// With a lock that is handed over in order of arrival, the next owner is who has waited longest.
std::optional<uint32_t> longest_waiter(Scan& scan) {
  if (!scan.spin().handovers) return std::nullopt;
  return scan.most(
      [](uint32_t, Status::View vcpu) { return vcpu.spinning(); },
      [](const Progress& progress) { return -progress.waiting_since.load(std::memory_order_relaxed); },
      YieldReason::kWaiter);
}

// Who was taken off in mid-work, or has an interrupt to take. One that waits itself comes to its turn by its lag.
std::optional<uint32_t> at_work(Scan& scan) {
  return scan.round([&](uint32_t, Status::View vcpu) -> std::optional<YieldReason> {
    if (vcpu.irq_pending()) return YieldReason::kPendingInterrupt;
    if (!vcpu.preempted() || vcpu.spinning()) return std::nullopt;
    return YieldReason::kPreempted;
  });
}

}  // namespace

// Guesses that did not end the wait are not repeated for ever: then the scan gives everybody a turn, so that
// no vCPU that the guesses overlook is overlooked for long.
std::optional<uint32_t> candidates::kvmux(Scan& scan) {
  std::optional<uint32_t> target;
  if (scan.spin().spins_before < scan.policy().tuning.guesses) {
    target = scan.awaited();
    if (!target) target = holder(scan);
    if (!target) target = longest_waiter(scan);
  }
  return target ? target : at_work(scan);
}

}  // namespace sched
