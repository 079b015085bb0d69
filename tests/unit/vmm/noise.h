// Noise for data sets whose truth is known.
#pragma once

#include <cmath>
#include <numbers>

#include "sched/base/rng.h"

namespace vmm_test {

// In (0, 1).
inline double uniform(sched::Rng& rng) { return (static_cast<double>(rng.below(1 << 30)) + 0.5) / (1 << 30); }

// Mean 0, deviation 1 (Box and Muller).
inline double normal(sched::Rng& rng) {
  return std::sqrt(-2 * std::log(uniform(rng))) * std::cos(2 * std::numbers::pi * uniform(rng));
}

}  // namespace vmm_test
