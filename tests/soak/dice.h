// Seeded random choices. One owner at a time.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>

#include "sched/base/rng.h"

namespace soak {

class Dice {
 public:
  explicit Dice(uint64_t seed) : rng_(seed) {}
  uint64_t below(uint64_t bound) { return rng_.below(bound); }
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(rng_.below(static_cast<uint64_t>(high - low) + 1));
  }
  bool chance(uint64_t percent) { return rng_.below(100) < percent; }
  template <class T>
  T pick(std::initializer_list<T> from) {
    return from.begin()[rng_.below(from.size())];
  }
  template <class T>
  const T& pick(std::span<const T> from) {
    return from[rng_.below(from.size())];
  }

 private:
  sched::Rng rng_;
};

}  // namespace soak
