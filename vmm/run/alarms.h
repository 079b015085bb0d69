// The LAPIC deadlines that one worker answers for: a heap of the alarms of those vCPUs that it held last.
//
// Ownership. A vCPU's alarm belongs to the Alarms of the worker that held the vCPU's lease last, whatever
// became of the vCPU since: queued there or elsewhere, halted, on its way, or running again. It moves only
// when another worker holds the vCPU and calls keep(), and until then that worker itself looks at the LAPIC
// before every entry. So there is exactly one worker at any time that will look in time:
//   holder:  keep(alarm, deadline), before it enters the guest and before it lets go of the lease;
//   owner:   before each KVM_RUN its timer is armed for earliest() at the latest
//            (PreemptTimer::arm_alarm), and it sleeps until earliest() at the latest; after either it calls
//            take_due(), and posts what is due (Notifier::interrupt_posted), which finds the vCPU wherever
//            it is by then.
// earliest() may be too early, because others take their alarms away: then the owner looks in vain. It is
// never too late, because the owner alone adds and postpones.
//
// Why no signal is missed between the last look and KVM_RUN: kick.h. Why the timer is always armed:
// arming.h.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "sched/base/mutex.h"
#include "sched/base/types.h"

namespace vmm {

using sched::Nanos;

class Alarms;

// Part of a vCPU. `home` is the lease holder's; the rest belongs to the home, under its lock.
struct Alarm {
  explicit Alarm(sched::VcpuId id) : vcpu(id) {}
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;

  const sched::VcpuId vcpu;
  Alarms* home = nullptr;
  Nanos at = sched::kForever;
  uint32_t place = 0;  // in the home's heap, while `at` is not kForever
};

class Alarms {
 public:
  explicit Alarms(uint32_t vcpus) { heap_.reserve(vcpus); }

  // Owner thread, holding the lease of the alarm's vCPU: its deadline; kForever: none. Nothing is done, and
  // nothing locked, if that is known here already.
  void keep(Alarm& alarm, Nanos at);
  // Owner thread: takes out one that is due. Nothing: none is.
  std::optional<sched::VcpuId> take_due(Nanos now) {
    if (earliest() > now) [[likely]]
      return std::nullopt;
    return take_first(now);
  }
  // Any thread; exact for the owner but for what others have just taken away.
  Nanos earliest() const { return Nanos(earliest_.load(std::memory_order_relaxed)); }
  // Tests.
  size_t size();

 private:
  std::optional<sched::VcpuId> take_first(Nanos now);
  void remove(Alarm& alarm) SCHED_REQUIRES(mutex_);
  void place(Alarm& alarm, size_t at) SCHED_REQUIRES(mutex_);
  void sift(size_t from) SCHED_REQUIRES(mutex_);
  void publish() SCHED_REQUIRES(mutex_);

  sched::Mutex mutex_;
  std::vector<Alarm*> heap_ SCHED_GUARDED_BY(mutex_);  // the earliest first; never grows beyond its start
  std::atomic<int64_t> earliest_{sched::kForever.count()};
};

}  // namespace vmm
