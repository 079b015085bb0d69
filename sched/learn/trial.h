// Which of a few ways of doing something costs a VM fewer exits? Learned by trying, because only the guest
// knows what it waits for: whoever spins out soon again was not helped, and a donated turn that ends is an
// exit too.
//
// An epoch is a number of such exits, so trying the worse way takes little time: it is over soon. Any thread
// may call. Whoever counts the last exit of an epoch ends it and alone touches the rest meanwhile; resetting
// the counter (release) hands that on to whoever counts the next last one (acquire).
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>

#include "sched/base/types.h"

namespace sched {

class Trial {
 public:
  struct Config {
    uint32_t ways = 2;
    uint32_t epoch = 128;     // exits
    uint32_t try_every = 16;  // epochs; one of them goes another way, each in turn
    int64_t clearly = 125;    // another way takes over if its epoch was this many per cent as long
    int64_t mean_over = 4;    // epochs in the moving mean of the usual length
  };
  Trial() : config_() {}
  explicit Trial(const Config& config) : config_(config) {}

  // The way to go now, below Config::ways. At first it is 0.
  uint32_t way() const { return way_.load(std::memory_order_relaxed); }

  // Nothing was tried for so long: that is not of the epoch. Nobody calls anything meanwhile.
  void skip(Nanos away) {
    const int64_t began = began_.load(std::memory_order_relaxed);
    if (began != kNever) began_.store(began + away.count(), std::memory_order_relaxed);
  }

  // The VM had a spin exit, or one by the end of a donated turn.
  void count_exit(Nanos now) {
    const uint32_t before = exits_.fetch_add(1, std::memory_order_acq_rel);
    if (before == 0) {
      // The first epoch begins with its first exit. Whoever ends it may be ahead of us and has said so then.
      int64_t never = kNever;
      began_.compare_exchange_strong(never, now.count(), std::memory_order_relaxed);
    }
    if (before != config_.epoch - 1) return;
    end_epoch(now);
    exits_.store(0, std::memory_order_release);
  }

 private:
  void end_epoch(Nanos now) {
    const int64_t began = began_.exchange(now.count(), std::memory_order_relaxed);
    const Nanos lasted = began == kNever ? Nanos{} : now - Nanos{began};
    ++epochs_;
    if (trying_) {
      trying_ = false;
      if (lasted * 100 > usual_ * config_.clearly) {
        usual_ = lasted;
        usual_way_ = way();  // and stay
      }
      way_.store(usual_way_, std::memory_order_relaxed);
      return;
    }
    usual_ = usual_ == Nanos{} ? lasted : (usual_ * (config_.mean_over - 1) + lasted) / config_.mean_over;
    // At first one after the other is tried at once, until one is better than the first.
    const bool first_round = trials_ < config_.ways - 1 && usual_way_ == 0;
    if (!first_round && epochs_ % config_.try_every != 1) return;
    trying_ = true;
    ++trials_;
    do {
      next_ = (next_ + 1) % config_.ways;
    } while (next_ == usual_way_);
    way_.store(next_, std::memory_order_relaxed);
  }

  const Config config_;
  std::atomic<uint32_t> way_{0};
  std::atomic<uint32_t> exits_{0};
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::min();
  std::atomic<int64_t> began_{kNever};  // the epoch
  // Of the thread that ends an epoch.
  bool trying_ = false;
  uint32_t usual_way_ = 0;
  uint32_t next_ = 0;    // the last that was tried
  uint32_t trials_ = 0;  // so far
  uint32_t epochs_ = 0;
  Nanos usual_{};  // length of an epoch on the way that was chosen
};

}  // namespace sched
