// xorshift64*: a small, seeded, repeatable generator for slice jitter and tie-free seeds (Vigna, 2016).
// One owner at a time; no thread safety of its own.
#pragma once

#include <cstdint>

namespace sched {

class Rng {
 public:
  explicit constexpr Rng(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ULL + 0xd1b54a32d192ed03ULL) {
    if (state_ == 0) state_ = 1;
    next();
  }

  constexpr uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1dULL;
  }

  // Uniform in [0, bound); bound > 0. The modulo bias is below 2^-32 for the bounds used here.
  constexpr uint64_t below(uint64_t bound) { return (next() >> 16) % bound; }

 private:
  uint64_t state_;
};

}  // namespace sched
