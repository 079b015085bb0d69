// How much of its time a worker's thread wanted its CPU and did not get it: preempted by other threads of
// this host, or by the hypervisor below it where the host's kernel accounts for steal time.
//
// Owner thread only. Asking costs a system call, so ask only after stretches that may have lost something
// worth knowing.
#pragma once

#include <algorithm>

#include "vmm/run/clock.h"

namespace vmm {

class StolenTime {
 public:
  // A shorter stretch in the guest is not looked at: what the host takes, it takes for longer than this.
  static constexpr Nanos kWorthAsking{200'000};

  // Time since the last call that was lost, at most `limit`, the stretch in which it was.
  Nanos take(Nanos limit) {
    const Nanos wall = monotonic_now();
    const Nanos cpu = thread_cpu_now();
    const Nanos lost = (wall - wall_) - slept_ - (cpu - cpu_);
    wall_ = wall;
    cpu_ = cpu;
    slept_ = Nanos{};
    return std::clamp(lost, Nanos{}, limit);
  }
  // The thread waited because it had nothing to do.
  void slept(Nanos time) { slept_ += time; }

 private:
  Nanos wall_ = monotonic_now();
  Nanos cpu_ = thread_cpu_now();
  Nanos slept_{};
};

}  // namespace vmm
