// What one vCPU gives another with a directed yield: its kind, its length, from whom, and where its receiver
// goes afterwards. One value, set as a whole and dropped as a whole, so that nothing of an earlier hand-over
// is left when the next one is made.
//
// Plain data; guarded like the memory that holds it (memory.h).
#pragma once

#include <optional>

#include "sched/base/types.h"

namespace sched {

struct Handover {
  enum class Kind : uint8_t {
    kGiven,   // the yielder's turn is over
    kForAck,  // until the receiver has acknowledged the IPIs of the yielder, which goes on then
    kForLock,  // for `length`; the yielder goes on then
    kUrgent    // for `length`: to take an interrupt
  };
  Kind kind = Kind::kGiven;
  VcpuId donor = kNoVcpu;        // the yielder, which goes on afterwards
  uint32_t donor_runs = 0;       // its progress: if that has moved, it has gone on by itself
  Nanos length{};                // kForLock, kUrgent
  std::optional<WorkerId> back;  // where the receiver waits afterwards, if not where it ran
};

}  // namespace sched
