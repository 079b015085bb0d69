// What a worker has had of the host while threads held it: CPU time, and how often it was taken off. A worker
// without carriers is one thread, and its figures are that thread's.
//
// Holder only. From leaves() on one thread to arrives() on the next nothing counts.
#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>

#include "vmm/run/clock.h"

namespace vmm {

class HeldUse {
 public:
  // A way from thread to thread takes so long at the most unless the host runs something else in between.
  static constexpr Nanos kUsualWay{30'000};

  // A system call.
  Nanos cpu() const { return before_ + thread_cpu_now(); }
  // `counts`: this thread's switches are told by nobody else.
  void leaves(Nanos now, bool counts) {
    left_ = now;
    before_ = cpu();
    if (counts) preemptions_ += thread_preemptions() - preemptions_then_;
  }
  // How much of the way was no loss.
  Nanos arrives(Nanos now, bool counts) {
    before_ -= thread_cpu_now();
    if (counts) preemptions_then_ = thread_preemptions();
    return std::min(now - left_, kUsualWay);
  }
  // On those threads that it has left. While it is parked, any thread may ask.
  uint64_t preemptions() const { return preemptions_; }

 private:
  static uint64_t thread_preemptions() {
    rusage use{};
    ::getrusage(RUSAGE_THREAD, &use);  // it cannot fail; 0 would be told as none
    return static_cast<uint64_t>(use.ru_nivcsw);
  }

  Nanos before_{};  // the worker's CPU time − the thread's
  Nanos left_{};
  uint64_t preemptions_ = 0;
  uint64_t preemptions_then_ = 0;
};

}  // namespace vmm
