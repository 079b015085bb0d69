// candidates=oracle: whom the yielder needs, as its guest publishes. Not a policy for use: it is what guesses are
// measured against.
#include "sched/yield/needed.h"
#include "sched/yield/scan.h"

namespace sched {
namespace {

// What is handed over depends on what it is for.
YieldReason reason_of(GuestWait wait) {
  switch (wait) {
    case GuestWait::kLock:
      return YieldReason::kOwner;
    case GuestWait::kAcks:
      return YieldReason::kIpiReceiver;
    default:
      return YieldReason::kNeeded;
  }
}

}  // namespace

// Where all that it needs run or sleep, whoever works is of more use than a busy wait. After them the relaxed round
// has a turn for those that wait themselves: that there is work again for one that has waited for it is not
// published, and without that round nobody would ever see it.
std::optional<uint32_t> candidates::oracle(Scan& scan) {
  const SpinScan& spin = scan.spin();
  if (spin.pages.empty() || !spin.pages[spin.me].published()) return kvmux(scan);
  const VcpuBits needed = needed_by(spin.pages, spin.me);
  const YieldReason reason = reason_of(spin.pages[spin.me].wait());
  const uint32_t n = static_cast<uint32_t>(spin.vcpus.size());
  for (uint32_t step = 1; step <= n; ++step) {
    const uint32_t index = (spin.start_after + step) % n;
    if (needed.test(index) && scan.attempt(index, reason)) return index;
  }
  return scan.round([&](uint32_t index, Status::View) -> std::optional<YieldReason> {
    if (waits(spin.pages[index])) return std::nullopt;
    return YieldReason::kPreempted;
  });
}

}  // namespace sched
