// What runs the vCPUs of a run: the M:N machine with our scheduler (machine.h), or a thread for each vCPU
// (host_machine.h). A run is measured the same way with both (measured_run.h).
//
// One thread creates, drives and destroys it, in this order:
//   add() for each VM → start() → (pause() → figures → resume())… → stop()
// Notifier's half is for any thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <optional>
#include <span>
#include <vector>

#include "sched/base/guest_page.h"
#include "sched/base/stats.h"
#include "sched/workers/look.h"
#include "vmm/run/board.h"
#include "vmm/run/machine_view.h"
#include "vmm/run/notifier.h"
#include "vmm/run/pause_barrier.h"
#include "vmm/run/trouble.h"
#include "vmm/run/vm.h"
#include "vmm/run_types.h"
#include "vmm/trace/recorder.h"

namespace vmm {

// A VM with its board, as whoever runs its vCPUs sees it.
struct RunningVm {
  Vm* vm;
  Board* board;
  uint32_t handicap_percent = 0;                   // handicap.h
  std::atomic<uint64_t>* vcpus_running = nullptr;  // in guest memory; null: the guest is not told
  std::atomic<uint64_t>* hint_place = nullptr;     // where it would be told
  sched::GuestPages pages = {};  // what the guest publishes, and where it is told; may be empty
};

class Engine : public Notifier {
 public:
  // In the order of VmIds. What they point to outlives stop().
  void add(const RunningVm& vm) { vms_.push_back(vm); }
  // Before start(): its threads say there what they do. It outlives stop(); null: nowhere.
  virtual void trace_into(TraceRecorder* recorder) { recorder_ = recorder; }
  // Starts the threads and all vCPUs (those that wait for a SIPI go to sleep at once).
  [[nodiscard]] virtual Result<void> start() = 0;
  // Stops all vCPUs outside the guest; until resume() nothing moves.
  virtual void pause() = 0;
  virtual void resume() = 0;
  // Ends and joins all threads. Must come before the VMs and boards go.
  virtual void stop() = 0;

  // Paused: the figures since the start, up to now.
  struct VcpuUse {
    sched::VcpuStats sched;
    VcpuAccount account;
  };
  virtual VcpuUse vcpu_use(const Vcpu& vcpu, Nanos now) const = 0;
  // Any thread, between start() and stop(): what has been counted up to a moment ago. Of times there is no
  // more than what the vCPU's thread has computed, and only where each has one.
  virtual VcpuUse counted(const Vcpu& vcpu) const = 0;
  // Any thread: vCPUs that have changed workers while they were runnable; 0 where the host has the queues.
  virtual uint64_t moves_made(sched::TraceMove) const { return 0; }
  struct CpuUse {
    Nanos busy{};  // with a vCPU
    uint64_t involuntary_switches = 0;
  };
  virtual std::vector<CpuUse> cpu_use(Nanos now) const = 0;  // one for each worker that was asked for
  // Paused: forgets the maxima.
  virtual void reset_peaks() = 0;
  // Paused: all VMs go on with these policies, in their order. Only for what check_together() let pass: an
  // engine whose policies hold for a whole run is never asked.
  virtual void change_policies(std::span<const VmChange>, Nanos) {
    KVMUX_CHECK(false, "the policies of this engine hold for a whole run");
  }

  // What its threads could not cope with, or nothing: then the run is to be stopped, and its figures are
  // void.
  Trouble& trouble() { return trouble_; }
  const Trouble& trouble() const { return trouble_; }

  // Any time between start() and stop(). Nothing: the vCPU is awake, or a timer of its own will wake it. Else
  // a number that has changed if it has run meanwhile; a sleep, or no more than a thread that sleeps.
  virtual std::optional<uint64_t> sleep_mark(const Vcpu& vcpu) const { return vcpu.sleep.read(); }

  // Any thread, between start() and stop(): the machine as it is now. Its vectors are used again.
  virtual void look(MachineView& view) const = 0;
  // Between start() and stop(): all threads that a worker may be on (WorkerView::thread).
  [[nodiscard]] virtual std::vector<pid_t> threads() const = 0;
  // What became of a vCPU's state of late, oldest first; nothing is known where the host has the queues and
  // KVM the LAPICs.
  virtual const sched::StateHistory& history(const Vcpu& vcpu) const = 0;
  // A worker's queue. False: somebody holds its lock. Nothing to be seen where the host has the queues.
  [[nodiscard]] virtual bool try_look_at_queue(sched::WorkerId, sched::QueueLook& look) const {
    look = {};
    return true;
  }

  // Does this vCPU wait for that one of its VM to acknowledge an IPI, as far as the policy remembers? The
  // engine is paused, or no policy changes.
  virtual bool awaits(const Vcpu&, const Vcpu&, Nanos) const { return false; }

  const std::vector<RunningVm>& vms() const { return vms_; }
  bool all_ended() const {
    return std::all_of(vms_.begin(), vms_.end(), [](const RunningVm& vm) { return vm.vm->ended(); });
  }

 protected:
  // What pause() does while it waits: threads that do not come are asked again; where that is known to be in
  // vain, or has been for a minute, the process ends with a message.
  template <class Kick>
  void wait_at_barrier(PauseBarrier& barrier, uint32_t threads, Kick kick_again) {
    constexpr int kPatience = 50;  // of 100 ms
    constexpr int kMinute = 600;
    int asked = 0;
    barrier.wait_parked(threads, [&] {
      kick_again();
      if (++asked == kMinute) trouble_.report(host_error("stopping vCPUs", ETIMEDOUT).value());
      if (asked >= kPatience && trouble_.any()) trouble_.give_up();
    });
  }

  std::vector<RunningVm> vms_;
  mutable Trouble trouble_;  // figures are read by const members, which may fail
  TraceRecorder* recorder_ = nullptr;
};

}  // namespace vmm
