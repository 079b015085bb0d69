// Whom a spinning vCPU yields to: the scan over its VM and the rules by which a candidate is good.
//
// Runs on the yielder's worker without any lock: what it reads of others are hints, and the attempt itself
// looks again under the target's lock.
#pragma once

#include <atomic>
#include <optional>
#include <span>

#include "sched/base/guest_page.h"
#include "sched/base/stats.h"
#include "sched/base/status.h"
#include "sched/ipi/model.h"
#include "sched/policy/policy.h"

namespace sched {

// What the scan sees. vCPUs by index within the VM.
struct SpinScan {
  std::span<Status> vcpus;
  std::span<const Progress> progress;
  std::span<const std::atomic<bool>> after_donation;  // taken off because a donated turn was over
  uint32_t me;
  uint32_t start_after;   // the last boosted one
  bool in_kernel;         // me spins at CPL 0
  const IpiModel* ipi;    // may be null
  bool handovers;         // a yield to a vCPU that waits itself is worth a try
  bool relaxed;           // so is one to anyone that was taken off
  uint32_t spins_before;  // spin exits of this wait that did not end it
  GuestPages pages = {};  // what the guest publishes, if it does
  Nanos now;
};

// Does the yield to one candidate.
class YieldAttempt {
 public:
  enum class Result : uint8_t {
    kDone,
    kFailed,       // counts against the tries
    kNotRunnable,  // it is not waiting any more: does not count
  };
  virtual Result operator()(uint32_t target, YieldReason reason) = 0;

 protected:
  ~YieldAttempt() = default;
};

// Tries candidates in order until one yield is done; its index, or nothing.
std::optional<uint32_t> directed_yield(const Policy& policy, const SpinScan& scan, YieldAttempt& attempt);

// The same among those alone whose acknowledgement is awaited, and the ends of their wait chains.
std::optional<uint32_t> yield_to_awaited(const Policy& policy, const SpinScan& scan, YieldAttempt& attempt);

}  // namespace sched
