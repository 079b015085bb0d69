// The scheduler: the front of workers/ (queues, states, moves), place/ (which worker) and yield/ (whom to
// yield to). The same object drives real vCPUs and the simulator; time comes in as an argument, effects go
// out through Host.
//
// Threads. `worker calls` are made by the worker itself, `any thread` calls by anyone. Every queue has a
// lock; at most one is held at a time, never across a guest's run. A vCPU that pick() returned belongs to
// that worker until put(), halt() or stop(): the caller must let go of it (its lease) before these, because
// another worker may pick it at once.
//
// A worker's life: pick() → run the guest → {tick() | spin() | sent() | halt() | put()} → … → pick().
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sched/base/host.h"
#include "sched/base/mutex.h"
#include "sched/base/stats.h"
#include "sched/base/status.h"
#include "sched/ipi/model.h"
#include "sched/place/placement.h"
#include "sched/policy/setup.h"
#include "sched/queue/hierarchy.h"
#include "sched/workers/look.h"
#include "sched/workers/workers.h"
#include "sched/yield/directed_yields.h"

namespace sched {

// What pick() and tick() grant: run this vCPU, look again at `end` at the latest.
struct Turn {
  VcpuId vcpu;
  Nanos end;  // kForever: nobody waits
};

class Scheduler {
 public:
  Scheduler(const Setup& setup, Host& host);
  ~Scheduler();

  // Before the run: it says there what it does.
  void trace_into(TraceSink* sink) { workers_.tracer().into(sink); }

  // Before the run: what a guest publishes of its vCPUs and where it is told. The pages outlive the run.
  void guest_publishes(VmId vm, const GuestPages& pages) { yields_->guest_publishes(vm_at(vm), pages); }

  uint32_t workers() const { return workers_.count(); }
  uint32_t vcpus() const { return workers_.vcpus(); }
  VcpuId vcpu_id(VmId vm, uint32_t index) const { return vm_at(vm).vcpu(index); }
  VmId vm_of(VcpuId vcpu) const { return workers_.vcpu(vcpu).vm; }
  uint32_t index_in_vm(VcpuId vcpu) const { return workers_.vcpu(vcpu).index; }
  const Policy& policy(VmId vm) const { return vm_at(vm).policy; }

  // --- worker calls ---
  // Nothing of this worker's runs. Chooses the next vCPU, taking one from another worker if there is none
  // here. Nothing at all: the worker is marked idle and will be kicked.
  std::optional<Turn> pick(WorkerId worker, Nanos now);
  // Charges the running vCPU. Its new end, or nothing: its turn is over, put() it.
  std::optional<Turn> tick(WorkerId worker, Nanos now);
  // The host took the worker's CPU for this long of the time since the last worker call: nothing that the
  // running vCPU is charged for. Call before the next worker call.
  void discount_stolen(WorkerId worker, Nanos lost);
  // The running vCPU stays runnable but leaves the worker. in_kernel: it was taken off at CPL 0. Anything
  // will do, here and for spin(), where the policy does not ask (needs_cpl()).
  void put(WorkerId worker, Nanos now, bool in_kernel);
  // It executed HLT with nothing to take. Afterwards the caller must look at its interrupts once more and
  // call interrupt_posted() if there are any (base/status.h says why).
  void halt(WorkerId worker, Nanos now);
  // INIT: it begins anew, and what was known of its IPIs is void.
  void reset(VcpuId vcpu);
  // It ended and never runs again.
  void stop(WorkerId worker, Nanos now);
  // There is a reason to yield: choose to whom and do what the VM's policy does. Every such reason comes in
  // here, whatever the policy and the run queue. True: the yielder must be put().
  bool yield(WorkerId worker, Nanos now, const YieldCause& cause);
  // It is busy-waiting.
  bool spin(WorkerId worker, Nanos now, bool in_kernel, Wait wait = Wait::kUnknown) {
    return yield(worker, now, {YieldCause::Kind::kSpin, in_kernel, wait});
  }
  // It has sent IPIs: call after ipi_sent() and interrupt_posted(). True: it will wait for a receiver that
  // does not run, and has yielded to it at once.
  bool sent(WorkerId worker, Nanos now) { return yield(worker, now, {YieldCause::Kind::kSend}); }

  // --- any thread ---
  // First run of a vCPU: on the worker of place/first_places.h, or on an idle one.
  void start(VcpuId vcpu, Nanos now);
  enum class Posted : uint8_t { kNothing, kWoken, kRunning };
  // Call after the interrupt is visible in the target's LAPIC. Wakes the target if it is halted; kRunning:
  // the caller should make the worker that runs it look at the LAPIC.
  Posted interrupt_posted(VcpuId target, Nanos now);
  // The vCPU is about to take its interrupts: forget the hint. Call before reading the LAPIC.
  void interrupts_seen(VcpuId vcpu) { workers_.status(vcpu).clear_irq_pending(); }
  Status::View status(VcpuId vcpu) const { return workers_.status(vcpu).view(); }
  // Does this vCPU of the VM wait for that one to acknowledge an IPI, as far as its policy remembers? Not while
  // policies change.
  bool awaits(VmId vm, uint32_t sender, uint32_t receiver, Nanos now) const {
    return yields_->awaits(vm_at(vm), sender, receiver, now);
  }
  const Progress& progress(VcpuId vcpu) const { return workers_.progress(vcpu); }
  const StateHistory& history(VcpuId vcpu) const { return workers_.history(vcpu); }
  // A worker's queue, as it is now. It is not waited for: false if somebody holds its lock.
  [[nodiscard]] bool try_look(WorkerId worker, QueueLook& look);
  // For who looks on: what has been counted up to a moment ago, times up to the last change of state.
  VcpuStats counted(VcpuId vcpu) const { return copy_of(workers_.vcpu(vcpu).stats); }
  // Of these: runnable and not on a worker.
  Nanos waited(VcpuId vcpu) const { return workers_.vcpu(vcpu).stats.times.waiting; }
  // vCPUs that have changed workers while they were runnable.
  uint64_t moves_made(TraceMove why) const { return workers_.moves_made(why); }
  // An IPI was delivered / acknowledged; sender and receivers by index within the VM. Only the thread that
  // runs the sender, or the receiver that acknowledges, may call: it counts in that vCPU's statistics.
  // A send has two halves: before it is visible to any receiver, with those that it names; and afterwards,
  // with those that accepted it. An acknowledgement that comes in between so finds what it acknowledges.
  void ipi_sending(VmId vm, const IpiSend& send, Nanos now);
  void ipi_sent(VmId vm, const IpiSend& send, const VcpuSet& accepted, Nanos now);
  // Both at once, for callers that post afterwards to all that are named.
  void ipi_sent(VmId vm, const IpiSend& send, Nanos now) {
    ipi_sending(vm, send, now);
    ipi_sent(vm, send, send.receivers, now);
  }
  void eoi(VcpuId receiver, IrqVector vector, Nanos now);

  // --- quiescent: no other call is in progress (all workers are parked) ---
  // With times up to now.
  VcpuStats stats(VcpuId vcpu, Nanos now) const;
  // All VMs go on with these policies, by VmId: of the same run queue, and alike in the constants that hold
  // for the whole run. vCPUs that run (in the simulator) finish their turns. Where vCPUs would begin
  // elsewhere under the new policies they go there; what was learned is kept for when a policy returns
  // (yield/memory.h).
  void change_policies(std::span<const Policy> policies, Nanos now);
  // Forgets the maxima (worst_wait): a measurement starts here.
  void reset_peaks();
  // Nodes visited in all queues' trees; the growth tests count these.
  uint64_t steps();
  // Every sum of every queue against a recomputation; ends the process when they differ. Tests.
  void check();
  // Tests: looks at a worker's queue under its lock.
  template <class Fn>
  auto inspect(WorkerId worker, Fn fn) {
    Worker& w = workers_.at(worker);
    MutexLock lock(w.mutex);
    return fn(*w.queue);
  }

 private:
  void set_turns(const VmInfo& vm);
  void set_slices(const VmInfo& vm, Nanos slice);
  bool loses_wakeup();
  const VmInfo& vm_at(VmId vm) const { return vms_[index_of(vm)]; }
  void number_vms(const Setup& setup);
  void build_queues(const Setup& setup);
  void go_to_places(Nanos now);
  std::optional<Turn> run_next(Worker& worker, Nanos now) SCHED_REQUIRES(worker.self, worker.mutex);
  void wake(Vcpu& vcpu, Nanos now);  // it belongs to the caller
  // What put(), halt() and stop() have in common; where the vCPU would wait, if elsewhere.
  std::optional<WorkerId> leave_current(Worker& worker, RunState next, Nanos now)
      SCHED_REQUIRES(worker.self, worker.mutex);

  Setup setup_;              // with the policies in force
  std::vector<VmInfo> vms_;  // constant between two changes of policies
  Hierarchy hierarchy_;
  Workers workers_;
  std::optional<Placement> placement_;  // made once the VMs are numbered
  std::optional<DirectedYields> yields_;
  std::atomic<uint64_t> wakeups_{0};  // counted for Setup::loses_wakeups alone
};

}  // namespace sched
