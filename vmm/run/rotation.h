// Which CPU each worker runs on, and when they move on by one: CPUs are not equally fast (SMT siblings with
// other tenants, P- and E-cores), and whoever stays with one worker would have the fast or the slow one for
// good.
//
// Any worker may call due(); one of them is told to make all move. A host on which no worker ever leaves the
// guest does not rotate: nobody shares a worker then.
#pragma once

#include <atomic>
#include <utility>
#include <vector>

#include "sched/base/types.h"
#include "vmm/run/clock.h"

namespace vmm {

class Rotation {
 public:
  // interval 0, or nothing to choose from: never.
  Rotation(std::vector<int> cpus, uint32_t workers, Nanos interval)
      : cpus_(std::move(cpus)),
        interval_(workers > 1 && cpus_.size() > 1 ? interval : Nanos{}),
        next_(interval_ > Nanos{} ? (monotonic_now() + interval_).count() : sched::kForever.count()) {}

  int cpu_of(sched::WorkerId worker) const {
    return cpus_[(sched::index_of(worker) + steps_.load(std::memory_order_relaxed)) % cpus_.size()];
  }
  // True, once an interval: the caller makes all workers look at cpu_of() again.
  bool due(Nanos now) {
    int64_t next = next_.load(std::memory_order_relaxed);
    if (now.count() < next) return false;
    if (!next_.compare_exchange_strong(next, (now + interval_).count(), std::memory_order_relaxed))
      return false;
    steps_.fetch_add(1, std::memory_order_relaxed);  // the kicks that follow order it
    return true;
  }

 private:
  const std::vector<int> cpus_;
  const Nanos interval_;
  std::atomic<int64_t> next_;
  std::atomic<uint32_t> steps_{0};
};

}  // namespace vmm
