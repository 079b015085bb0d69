// A worker's preemption timer and its kick: one real-time signal that ends KVM_RUN on that worker's thread.
//
// The worker creates it on its own thread. arm() and kick() may be called by any thread while it exists. The
// signal handler sets immediate_exit in the vCPU that the worker has announced, so a signal that arrives just
// before KVM_RUN is not lost.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <atomic>
#include <ctime>
#include <memory>

#include "vmm/kvm/vcpu.h"
#include "vmm/result.h"
#include "vmm/run/clock.h"

namespace vmm {

class PreemptTimer {
 public:
  using Target = VcpuFd;

  // For the calling thread.
  [[nodiscard]] static Result<std::unique_ptr<PreemptTimer>> create();
  ~PreemptTimer();
  PreemptTimer(const PreemptTimer&) = delete;
  PreemptTimer& operator=(const PreemptTimer&) = delete;

  // One signal at this instant of CLOCK_MONOTONIC, in place of the one asked for before; kForever: none. One
  // call at a time.
  //
  // The signal asked for before may come as well, if it is more than kTurns usual turns away: then another
  // call will most likely replace it in time, and no system call is needed at each switch between vCPUs that
  // leave early. Who is woken too soon asks again.
  void arm(Nanos at);
  // A signal now.
  void kick();

  // Owner thread: the vCPU that is about to be entered, or null.
  void announce(VcpuFd* vcpu) { announced_.store(vcpu, std::memory_order_relaxed); }
  // Owner thread: did the timer fire since the last call?
  bool take_fired() { return fired_.exchange(false, std::memory_order_relaxed); }
  bool has_fired() const { return fired_.load(std::memory_order_relaxed); }

 private:
  static constexpr int kTurns = 4;

  PreemptTimer() = default;
  static void on_signal(int, siginfo_t* info, void*);

  pid_t thread_ = 0;
  timer_t timer_{};
  bool created_ = false;
  Nanos armed_ = sched::kForever;  // the signal that the kernel has been asked for
  Nanos asked_{};                  // when arm() was called last
  Nanos usual_turn_{};             // between two calls; a moving average
  // Handler and owner are one thread: relaxed, the compiler alone must keep the order.
  std::atomic<VcpuFd*> announced_{nullptr};
  std::atomic<bool> fired_{false};
};

}  // namespace vmm
