// Host trouble that hits a thread which runs vCPUs: a system call that fails in every way there is. Such a
// thread cannot return an error to anybody. It reports here and goes on as well as it can; whoever drives the
// run looks now and then, stops the engine and returns the error, so that the process ends with a message and
// the status of host trouble. Any thread.
#pragma once

#include <atomic>
#include <functional>
#include <optional>

#include "sched/base/mutex.h"
#include "vmm/result.h"

namespace vmm {

class Trouble {
 public:
  // The first report counts. May be called with a queue's lock held.
  void report(const Error& error);
  // Relaxed: a hint that makes the driver ask for first().
  bool any() const { return any_.load(std::memory_order_relaxed); }
  std::optional<Error> first() const;
  // Set-up: called once, by the thread that reports first; must not block.
  void on_report(std::function<void()> bell) { bell_ = std::move(bell); }

  // The threads of the run cannot even be told to stop any more: a message, and the process ends.
  [[noreturn]] void give_up() const;

 private:
  mutable sched::Mutex mutex_;
  std::optional<Error> first_ SCHED_GUARDED_BY(mutex_);
  std::atomic<bool> any_{false};
  std::function<void()> bell_;
};

}  // namespace vmm
