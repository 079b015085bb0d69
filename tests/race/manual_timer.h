// A worker's timer for vmm::BasicKicks whose signals are raised by hand: kick(), or the clock's reaching the
// instant it is armed for, makes one pending, as the kernel does, and it is delivered to the owner between
// any two of the owner's steps. When it is armed for what is decided by the real vmm::Arming.
#pragma once

#include <atomic>
#include <cerrno>
#include <memory>

#include "sched/base/mutex.h"
#include "vmm/run/arming.h"
#include "vmm/run/kick.h"

namespace race {

class ManualTimer;

// A vCPU as Kicks::run() sees it. Owner's thread.
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

  static vmm::Result<std::unique_ptr<ManualTimer>> create(vmm::Trouble&) {
    auto timer = std::make_unique<ManualTimer>();
    created = timer.get();
    return timer;
  }
  static inline thread_local ManualTimer* created = nullptr;  // the last one of this thread

  // Any thread. The kernel orders a signal after all that its sender did before.
  void kick() { pending_.store(true, std::memory_order_seq_cst); }
  // One call at a time.
  void arm_tick(vmm::Nanos at, vmm::Nanos now) {
    const sched::MutexLock lock(mutex_);
    tick_at_.store(at.count(), std::memory_order_relaxed);
    if (const auto instant = arming_.change_tick(at, now)) set(*instant);
  }
  vmm::Nanos tick_at() const { return vmm::Nanos(tick_at_.load(std::memory_order_relaxed)); }

  // Owner.
  void announce(Guest* guest) {
    deliver();
    announced_ = guest;
  }
  void arm_alarm(vmm::Nanos at) {
    if (at == alarm_ && !uncovered_) return;
    const sched::MutexLock lock(mutex_);
    alarm_ = at;
    uncovered_ = false;
    if (const auto instant = arming_.change_alarm(at, vmm::monotonic_now())) set(*instant);
  }
  bool has_fired() {
    deliver();
    return fired_;
  }
  bool take_fired() {
    deliver();
    if (!fired_) return false;
    fired_ = false;
    uncovered_ = true;
    const sched::MutexLock lock(mutex_);
    arming_.fired();
    return true;
  }
  // The timer is the kernel's: it fires once, when its instant has come.
  void deliver() {
    int64_t at = armed_.load(std::memory_order_relaxed);
    if (at != kDisarmed && vmm::monotonic_now().count() >= at &&
        armed_.compare_exchange_strong(at, kDisarmed, std::memory_order_seq_cst)) {
      fired_ = true;
      pending_.store(true, std::memory_order_relaxed);
    }
    if (pending_.load(std::memory_order_relaxed) && pending_.exchange(false, std::memory_order_seq_cst) &&
        announced_ != nullptr) {
      announced_->request_exit();
    }
  }

 private:
  std::atomic<bool> pending_{false};
  static constexpr int64_t kDisarmed = sched::kForever.count();
  void set(vmm::Nanos at) { armed_.store(at.count(), std::memory_order_seq_cst); }

  sched::Mutex mutex_;
  vmm::Arming arming_;
  std::atomic<int64_t> armed_{kDisarmed};
  std::atomic<int64_t> tick_at_{kDisarmed};
  vmm::Nanos alarm_ = sched::kForever;
  bool uncovered_ = false;
  bool fired_ = false;
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
