// A handicap: after each stretch in the guest the VMM burns a share of it, so that a loss of known size can
// be planted in one of two equal policies. Any thread that runs vCPUs.
#pragma once

#include <cstdint>

#include "vmm/run/clock.h"

namespace vmm {

// percent: 0 … 99, of guest time and burnt time together.
inline void burn_handicap(Nanos in_guest, uint32_t percent) {
  if (percent == 0) return;
  const Nanos end = monotonic_now() + in_guest * percent / (100 - percent);
  while (monotonic_now() < end) __builtin_ia32_pause();
}

}  // namespace vmm
