// Do yields to a vCPU that waits itself help in this VM? With ticket locks they do: the longest waiter is the
// next owner. With TTAS locks they do not. A score of the outcomes of such yields.
//
// Any thread. Relaxed: an outcome that is lost when two are counted at once is made up for by the next.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace sched {

class HandoverScore {
 public:
  struct Config {
    int32_t range = 8;          // the score's bound, both ways
    uint64_t retry_every = 16;  // spin exits: one of them tries against the odds
  };
  explicit HandoverScore(Config config) : config_(config) {}

  // At the yielder's n-th spin exit.
  bool worth_a_try(uint64_t n) const {
    return score_.load(std::memory_order_relaxed) > -config_.range || n % config_.retry_every == 0;
  }
  void count(bool helped) {
    const int32_t next = score_.load(std::memory_order_relaxed) + (helped ? 1 : -1);
    score_.store(std::clamp(next, -config_.range, config_.range), std::memory_order_relaxed);
  }

 private:
  const Config config_;
  std::atomic<int32_t> score_{0};
};

}  // namespace sched
