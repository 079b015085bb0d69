// A vCPU on a thread of its own, scheduled by the host: the run loop of QEMU, Firecracker and kvmtool, and so
// the baseline of kvmux.
//
// The thread holds the vCPU's lease all its life. A vCPU that halts in a LAPIC of ours puts its thread to
// sleep on a futex, at most until its LAPIC timer; one whose LAPIC is inside KVM halts inside KVM_RUN. Anyone
// may ask the thread to look up: kick.h says why neither a kick nor a wake-up is lost.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <thread>

#include "vmm/run/engine.h"
#include "vmm/run/kick.h"
#include "vmm/run/os_thread.h"
#include "vmm/run/pause_barrier.h"
#include "vmm/run/pulse.h"
#include "vmm/run/worker_trace.h"

namespace vmm {

// What sets one thread-per-vCPU baseline apart from another.
struct HostMode {
  LapicPlace lapic = LapicPlace::kUserSpace;
  bool yield_on_spin = false;  // sched_yield(); else a spin exit does nothing
};

// Where a thread's time went, all of it since its vCPU started. Its parts may overlap a little.
struct HostTimes {
  Nanos alive{};                  // until the vCPU stopped, or now
  Nanos dead{};                   // since the vCPU stopped
  Nanos ran{};                    // on a CPU
  Nanos waited{};                 // runnable, but not on a CPU
  Nanos parked{};                 // held at the pause barrier
  std::optional<Nanos> halted{};  // asleep in HLT, wake-up included; nothing: KVM knows
};

// The vCPU's states that this amounts to; they add up to alive + dead. What the thread has neither run, nor
// waited, nor slept was taken from its CPU behind the back of the host's scheduler (steal time, interrupts):
// it counts as running, and `stolen` says how much it is.
struct HostStates {
  sched::StateTimes times;
  Nanos stolen{};
};
HostStates host_states(const HostTimes& t);

// CPU time between two entries into the guest, without a system call at each of them: every seventeenth is
// measured, a number that no loop of exits in a guest is likely to keep step with. Wall time would not do:
// who kicks another thread is often preempted by it on the spot.
class HandlingCost {
 public:
  void exit_begins();  // KVM_RUN has returned
  void entry_begins();
  void guest_begins();
  Nanos exits() const { return scaled(exits_); }
  Nanos entries() const { return scaled(entries_); }

 private:
  static constexpr uint64_t kEvery = 17;
  Nanos scaled(Nanos measured) const;

  uint64_t count_ = 0;
  uint64_t measured_ = 0;
  bool measuring_ = false;
  Nanos last_{};
  Nanos exits_{};
  Nanos entries_{};
};

class HostThread {
 public:
  // Starts the thread, bound to these CPUs; it waits at the barrier, which must be closed.
  [[nodiscard]] static Result<std::unique_ptr<HostThread>> start(const RunningVm& vm, Vcpu& vcpu,
                                                                 const HostMode& mode, PauseBarrier& barrier,
                                                                 Trouble& trouble, std::span<const int> cpus,
                                                                 TraceRecorder* recorder = nullptr);
  ~HostThread() { join(); }
  void join();  // after kick(kStop)

  enum Reason : uint32_t {
    kLook = 1,   // an interrupt was posted, or the VM has ended
    kPause = 2,  // come to the pause barrier
    kStop = 4,
  };
  // Any thread. `insist`: although it may have been asked for that already.
  void kick(uint32_t reasons, bool insist = false);

  // The vCPU's own thread, while it handles an exit.
  void count_ipis(uint32_t receivers) { stats_.ipis_sent += receivers; }
  void count_eoi() { ++stats_.eois; }

  // Any thread, between start() and join(): CPU time in ns; exact for a thread that sleeps. Nothing: not
  // known.
  std::optional<uint64_t> cpu_time() const;
  // Any thread, between start() and join(): Engine::counted().
  Engine::VcpuUse counted() const;

  // Any thread.
  WorkerView view(Nanos now) const;
  pid_t thread() const { return thread_id_; }
  const sched::StateHistory& history() const { return history_; }

  // Parked threads only.
  Engine::VcpuUse use(Nanos now) const;

 private:
  struct Moment {
    Nanos at{};
    ThreadUse use;
  };

  HostThread(const RunningVm& vm, Vcpu& vcpu, const HostMode& mode, PauseBarrier& barrier, Trouble& trouble,
             TraceRecorder* recorder)
      : vm_(vm),
        vcpu_(vcpu),
        mode_(mode),
        barrier_(barrier),
        trouble_(trouble),
        recorder_(recorder),
        trace_(recorder, sched::kNoTraceWorker) {}
  Result<void> set_up(std::span<const int> cpus);
  void loop();
  void comes_on(Nanos now);
  void turn();
  bool ready_to_enter();
  void take_extint();
  void after_exit(Next next);
  void halt();
  void sleep_until(Nanos at);
  void pass_barrier();
  void end_vcpu();
  Moment moment_now() const;
  ThreadUse own_use() const;

  const RunningVm vm_;
  Vcpu& vcpu_;
  const HostMode mode_;
  PauseBarrier& barrier_;
  Trouble& trouble_;
  TraceRecorder* const recorder_;
  const WorkerTrace trace_;
  Kicks kicks_{kPause};  // a thread begins at the pause barrier
  Pulse pulse_;
  sched::StateHistory history_;
  pid_t thread_id_ = 0;
  OwnUse own_use_;
  // The thread's own; others read them while it is parked.
  HandlingCost handling_;
  Moment started_;
  std::optional<Moment> ended_;
  std::optional<Nanos> parked_since_;
  Nanos parked_{};
  Nanos halted_{};
  sched::VcpuCounters stats_;
  std::thread thread_;
};

}  // namespace vmm
