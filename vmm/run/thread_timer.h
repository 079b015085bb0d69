// A kernel timer that signals one thread, whoever of the workers runs there just now (preempt_timer.h).
//
// The thread that it is to signal creates it; all else from any thread while it exists, one call at a time.
#pragma once

#include <sys/types.h>

#include <ctime>
#include <memory>

#include "vmm/result.h"
#include "vmm/run/clock.h"

namespace vmm {

class ThreadTimer {
 public:
  // For the calling thread.
  [[nodiscard]] static Result<std::unique_ptr<ThreadTimer>> create();
  ~ThreadTimer();
  ThreadTimer(const ThreadTimer&) = delete;
  ThreadTimer& operator=(const ThreadTimer&) = delete;

  // The signal comes at this instant of CLOCK_MONOTONIC; kForever: not at all. 0 or an errno.
  [[nodiscard]] int set(Nanos at);
  pid_t thread() const { return thread_; }

 private:
  explicit ThreadTimer(pid_t thread) : thread_(thread) {}

  const pid_t thread_;
  timer_t timer_{};
  bool created_ = false;
};

// The signal: SIGRTMIN itself is what sanitizers and libraries like best.
int preempt_signal();
// It, to a thread of this process. 0 or an errno.
[[nodiscard]] int send_preempt_signal(pid_t thread);

}  // namespace vmm
