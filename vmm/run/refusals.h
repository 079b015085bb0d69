// A KVM that lets a vCPU in no more: KVM_RUN ends at once, in EINTR or EAGAIN, again and again, and nobody
// asked for it. Without a bound its thread would try for ever and its guest stand still.
#pragma once

#include <cstdint>
#include <utility>

#include "vmm/run/clock.h"

namespace vmm {

// Part of a vCPU; the lease holder's.
class Refusals {
 public:
  // A stray signal ends an entry as well, but lets the guest run since the one before.
  static constexpr uint32_t kMost = 1'000;
  static constexpr Nanos kApart{1'000'000};

  // The guest ran up to an exit.
  void exited() { count_ = 0; }
  // KVM_RUN was interrupted. True: so often in a row that it is for good.
  bool interrupted(Nanos now, bool by_us) {
    const Nanos since = now - std::exchange(last_, now);
    if (by_us || since >= kApart) return false;
    return ++count_ >= kMost;
  }

 private:
  uint32_t count_ = 0;
  Nanos last_{};
};

}  // namespace vmm
