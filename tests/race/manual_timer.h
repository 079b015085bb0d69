// A preemption timer for vmm::BasicAttention whose signals are raised by hand: kick() makes one pending, as
// the kernel does, and it is delivered to the owner between any two of the owner's steps.
#pragma once

#include <atomic>
#include <cerrno>
#include <memory>

#include "vmm/run/attention.h"

namespace race {

class ManualTimer;

// A vCPU as Attention::run() sees it. Owner's thread.
class Guest {
 public:
  explicit Guest(ManualTimer& timer) : timer_(timer) {}
  virtual ~Guest() = default;

  void clear_exit_request();
  // Inside the guest; always ends by a signal or as if by one.
  int run() {
    inside();
    return EINTR;
  }
  // A signal has come since clear_exit_request().
  bool exit_requested();
  void request_exit() { exit_requested_ = true; }

 protected:
  virtual void inside() = 0;

 private:
  ManualTimer& timer_;
  bool exit_requested_ = false;
};

class ManualTimer {
 public:
  using Target = Guest;

  static vmm::Result<std::unique_ptr<ManualTimer>> create() {
    auto timer = std::make_unique<ManualTimer>();
    created = timer.get();
    return timer;
  }
  static inline thread_local ManualTimer* created = nullptr;  // the last one of this thread

  // Any thread. The kernel orders a signal after all that its sender did before.
  void kick() { pending_.store(true, std::memory_order_seq_cst); }
  void arm(vmm::Nanos at) { at_.store(at, std::memory_order_relaxed); }

  // Owner.
  void announce(Guest* guest) {
    deliver();
    announced_ = guest;
  }
  bool has_fired() {
    deliver();
    return vmm::monotonic_now() >= at_.load(std::memory_order_relaxed);
  }
  bool take_fired() {
    vmm::Nanos at = at_.load(std::memory_order_relaxed);
    return vmm::monotonic_now() >= at &&
           at_.compare_exchange_strong(at, sched::kForever, std::memory_order_relaxed);
  }
  void deliver() {
    if (pending_.load(std::memory_order_relaxed) && pending_.exchange(false, std::memory_order_seq_cst) &&
        announced_ != nullptr) {
      announced_->request_exit();
    }
  }

 private:
  std::atomic<bool> pending_{false};
  std::atomic<vmm::Nanos> at_{sched::kForever};
  Guest* announced_ = nullptr;
};

inline void Guest::clear_exit_request() {
  timer_.deliver();
  exit_requested_ = false;
}

inline bool Guest::exit_requested() {
  timer_.deliver();
  return exit_requested_;
}

}  // namespace race
