// By how much more one worker is loaded than another, and what a move from it to the other would do about
// that. Pure.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace sched {

class Imbalance {
 public:
  // `tolerance`: differences of one part in so many are none.
  Imbalance(int64_t from, int64_t to, int64_t tolerance) : load_(from - to), tolerance_(tolerance) {}

  // The difference that is left when so much load moves.
  int64_t left_by(int64_t moved) const { return std::abs(load_ - 2 * moved); }
  // Less than this must be left for a move to be worth it: shares are rounded and a moment old.
  int64_t bar() const { return load_ - load_ / tolerance_; }
  // The move makes the other worker the fuller one by about as much: it is fair in turns.
  bool swaps_by(int64_t moved) const { return load_ >= moved - moved / tolerance_; }

 private:
  int64_t load_;
  int64_t tolerance_;
};

}  // namespace sched
