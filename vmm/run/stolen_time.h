// How much of its time a worker's thread wanted its CPU and did not get it: preempted by other threads of
// this host, or by the hypervisor below it where the host's kernel accounts for steal time. And whose loss it
// was.
//
// Owner thread only. Time comes in as arguments: `wall` is monotonic_now(), `cpu` thread_cpu_now(). The
// latter costs a system call, so it is asked for only where something worth knowing may have been lost: after
// a long stretch in the guest, and before a vCPU may leave once enough time has gone by since the last
// question, so that what piled up in short stretches is not taken for its successor's loss. What piles up
// within kPile before a vCPU comes may still be; that is the error's bound.
#pragma once

#include <algorithm>

#include "vmm/run/clock.h"

namespace vmm {

class StolenTime {
 public:
  // Less than this is not looked at: what the host takes, it takes for longer, and asking costs up to half a
  // µs.
  static constexpr Nanos kLongStretch{200'000};
  // Short stretches pile up for so long. A question each time costs 1 % where a vCPU exits 25,000 times a
  // second; one in a pile 0.1 %.
  static constexpr Nanos kPile{1'000'000};

  // Less than this is how far apart the two clocks are read.
  static constexpr Nanos kNoise{2'000};

  StolenTime(Nanos wall, Nanos cpu) : wall_(wall), cpu_(cpu), came_(wall) {}

  // A vCPU comes on.
  void came(Nanos wall) { came_ = wall; }
  // The thread waited because it had nothing to do.
  void slept(Nanos time) { slept_ += time; }
  // `stretch`: the last one in the guest.
  bool worth_asking(Nanos wall, Nanos stretch) const {
    return stretch >= kLongStretch || wall - wall_ - slept_ >= kPile;
  }
  // Time since the last call that was lost, at most what the vCPU has been on since then.
  Nanos take(Nanos wall, Nanos cpu) {
    const Nanos lost = (wall - wall_) - slept_ - (cpu - cpu_);
    const Nanos limit = wall - std::max(came_, wall_);
    wall_ = wall;
    cpu_ = cpu;
    slept_ = Nanos{};
    return lost < kNoise ? Nanos{} : std::clamp(lost, Nanos{}, std::max(limit, Nanos{}));
  }

 private:
  Nanos wall_;
  Nanos cpu_;
  Nanos came_;
  Nanos slept_{};
};

}  // namespace vmm
