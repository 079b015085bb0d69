// A worker's timer and its kick: one real-time signal that ends KVM_RUN on that worker's thread, at the
// scheduler's tick, at the earliest LAPIC deadline that the worker answers for, or because somebody asks.
//
// The worker creates it on its own thread. arm_tick() and kick() may be called by any thread while it exists.
// The signal handler, which runs on the worker's thread, notes that the timer fired and then sets
// immediate_exit in the vCPU that the worker has announced, so a signal that arrives just before KVM_RUN is
// not lost (kick.h).
//
// A worker with carriers (carrier.h) takes it along: leave() on the thread that it goes from, come() on the
// one that it goes to, each of which has a kernel timer of its own. In between nothing is armed, and what is
// asked for is armed on arrival. A signal that was sent to the thread it has left ends at most somebody
// else's KVM_RUN once in vain; who kicks the thread that it has left has written a reason that is seen before
// the next entry (kick.h), because the new thread is published before that entry is.
//
// One kernel timer a thread, whatever guests do. Calls that fail for a moment are tried again; a kick that
// fails for good makes the timer fire instead, whose signal is the kernel's own and always there (tgkill
// needs one from a pool that RLIMIT_SIGPENDING bounds). What fails for good is reported as trouble.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <atomic>
#include <memory>

#include "sched/base/mutex.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/result.h"
#include "vmm/run/arming.h"
#include "vmm/run/clock.h"
#include "vmm/run/thread_timer.h"
#include "vmm/run/trouble.h"

namespace vmm {

class PreemptTimer {
 public:
  using Target = VcpuFd;

  // For the calling thread, with a kernel timer of its own there; without one nothing is armed as long as it
  // is there. `trouble` outlives it.
  [[nodiscard]] static Result<std::unique_ptr<PreemptTimer>> create(Trouble& trouble, bool arms_here = true);
  ~PreemptTimer();
  PreemptTimer(const PreemptTimer&) = delete;
  PreemptTimer& operator=(const PreemptTimer&) = delete;

  // A signal at this instant of CLOCK_MONOTONIC at the latest, in place of the tick asked for before;
  // kForever: none. It may come early (arming.h): who is woken too soon asks again. `now`: the caller's last
  // look at the clock.
  void arm_tick(Nanos at, Nanos now);
  void arm_tick(Nanos at) { arm_tick(at, monotonic_now()); }
  // Owner thread: the same for LAPIC deadlines. To be called before each entry: then has_fired() or a pending
  // timer stands for both instants. Costs nothing if nothing has changed.
  void arm_alarm(Nanos at) {
    if (at == alarm_ && !uncovered_) return;
    change_alarm(at);
  }
  // A signal now.
  void kick();
  // Owner: from this thread; nothing is announced.
  void leave();
  // Owner: to this thread, which nobody else's timer is on. The thread's kernel timer, which outlives the
  // stay there; null: this is the thread that created this.
  void come(ThreadTimer* there);
  // Once in the life of a thread that is not the one of create(), before come() there.
  [[nodiscard]] static Result<void> prepare_thread();

  // Owner thread: the vCPU that is about to be entered, or null.
  void announce(VcpuFd* vcpu) { announced_.store(vcpu, std::memory_order_relaxed); }
  // Owner thread: did the timer fire since the last call?
  bool take_fired();
  bool has_fired() const { return fired_.load(std::memory_order_relaxed); }
  // Any thread: the tick asked for last.
  Nanos tick_at() const { return Nanos(tick_at_.load(std::memory_order_relaxed)); }

 private:
  explicit PreemptTimer(Trouble& trouble) : trouble_(trouble) {}
  static void on_signal(int, siginfo_t* info, void*);
  void change_alarm(Nanos at);
  void set(Nanos at) SCHED_REQUIRES(mutex_);

  Trouble& trouble_;
  std::unique_ptr<ThreadTimer> own_;
  // Relaxed: stored before the phase of an entry there, loaded after that (kick.h).
  std::atomic<pid_t> thread_{0};
  sched::Mutex mutex_;
  ThreadTimer* here_ SCHED_GUARDED_BY(mutex_) = nullptr;  // null: on the way
  Arming arming_ SCHED_GUARDED_BY(mutex_);
  std::atomic<int64_t> tick_at_{sched::kForever.count()};
  // Owner's.
  Nanos alarm_ = sched::kForever;  // asked for last
  bool uncovered_ = false;         // a signal was taken, and nobody has armed the timer since
  // Handler and owner are one thread: relaxed, the compiler alone must keep the order.
  std::atomic<VcpuFd*> announced_{nullptr};
  std::atomic<bool> fired_{false};
};

}  // namespace vmm
