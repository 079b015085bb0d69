// The scheduler: all workers' run queues, the policies of all VMs, and the rules by which vCPUs move, halt,
// wake and yield. The same object drives real vCPUs and the simulator; time comes in as an argument, effects
// go out through Host.
//
// Threads. `worker calls` are made by the worker itself, `any thread` calls by anyone. Every queue has a
// lock; at most one is held at a time, never across a guest's run. A vCPU that pick() returned belongs to
// that worker until put(), halt() or stop(): the caller must let go of it (its lease) before these, because
// another worker may pick it at once.
//
// A worker's life: pick() → run the guest → {tick() | spin() | sent() | halt() | put()} → … → pick().
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sched/base/host.h"
#include "sched/base/mutex.h"
#include "sched/base/status.h"
#include "sched/ipi/model.h"
#include "sched/learn/ab_test.h"
#include "sched/place/idle_workers.h"
#include "sched/place/imbalance.h"
#include "sched/policy/setup.h"
#include "sched/queue/eevdf_queue.h"
#include "sched/yield/candidate.h"
#include "sched/yield/penalty.h"

namespace sched {

// Why a vCPU would yield.
struct YieldCause {
  enum class Kind : uint8_t {
    kSpin,  // it busy-waits
    kSend   // it has sent IPIs, and may be about to wait for their receivers
  };
  Kind kind = Kind::kSpin;
  bool in_kernel = false;      // kSpin: at CPL 0
  Wait wait = Wait::kUnknown;  // kSpin
};

// What pick() and tick() grant: run this vCPU, look again at `end` at the latest.
struct Turn {
  VcpuId vcpu;
  Nanos end;  // kForever: nobody waits
};

class Scheduler {
 public:
  Scheduler(const Setup& setup, Host& host);
  ~Scheduler();

  uint32_t workers() const { return static_cast<uint32_t>(workers_.size()); }
  uint32_t vcpus() const { return static_cast<uint32_t>(vcpus_.size()); }
  VcpuId vcpu_id(VmId vm, uint32_t index) const { return VcpuId{vms_[index_of(vm)].first + index}; }
  VmId vm_of(VcpuId vcpu) const { return vcpu_at(vcpu).vm; }
  uint32_t index_in_vm(VcpuId vcpu) const { return vcpu_at(vcpu).index; }
  const Policy& policy(VmId vm) const { return vms_[index_of(vm)].policy; }

  // --- worker calls ---
  // Nothing of this worker's runs. Chooses the next vCPU, taking one from another worker if there is none
  // here. Nothing at all: the worker is marked idle and will be kicked.
  std::optional<Turn> pick(WorkerId worker, Nanos now);
  // Charges the running vCPU. Its new end, or nothing: its turn is over, put() it.
  std::optional<Turn> tick(WorkerId worker, Nanos now);
  // The host took the worker's CPU for this long of the time since the last worker call: nothing that the
  // running vCPU is charged for. Call before the next worker call.
  void excuse(WorkerId worker, Nanos lost);
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
  void interrupts_seen(VcpuId vcpu) { status_[index_of(vcpu)].clear_irq_pending(); }
  Status::View status(VcpuId vcpu) const { return status_[index_of(vcpu)].view(); }
  // An IPI was delivered / acknowledged; sender and receivers by index within the VM.
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
  // Forgets the maxima (worst_wait): a measurement starts here.
  void reset_peaks();
  // Nodes visited in all queues' trees; the growth tests count these.
  uint64_t steps();
  // Every sum of every queue against a recomputation; ends the process when they differ. Tests.
  void check();
  // Tests: looks at a worker's queue under its lock.
  template <class Fn>
  auto inspect(WorkerId worker, Fn fn) {
    Worker& w = worker_at(worker);
    MutexLock lock(w.mutex);
    return fn(*w.queue);
  }

 private:
  struct Vm {
    Policy policy;
    uint32_t first = 0;  // VcpuId of its vCPU 0
    uint32_t size = 0;
    GroupId group{};
    std::unique_ptr<IpiModel> ipi;
    std::atomic<uint32_t> last_boosted{0};
    // kvmux: do yields to a vCPU that waits itself help here (ticket locks: yes, TTAS locks: no)? The score
    // is in ± kHandoverRange.
    std::atomic<int32_t> handover{0};
    std::atomic<uint32_t> awaiting{0};      // vCPUs that are known to wait for those to whom they send
    std::atomic<WorkerId> home{kNoWorker};  // where a VM that stays whole lives; else kNoWorker
    std::atomic<Nanos> moved_at{Nanos{}};   // when it came to live there
    AbTest loans;  // kvmux: do they pay here? Locks: yes, queues that somebody fills bit by bit: no
  };
  struct alignas(64) Worker {
    Mutex mutex;
    std::unique_ptr<RunQueue> queue SCHED_GUARDED_BY(mutex);
    EevdfQueue* eevdf SCHED_GUARDED_BY(mutex) = nullptr;  // the same queue, if it is one
    DeboostState deboost SCHED_GUARDED_BY(mutex);
    DeboostState credit SCHED_GUARDED_BY(mutex);
    bool idle SCHED_GUARDED_BY(mutex) = false;
    Vcpu* running = nullptr;  // queue->current(); changed and read by the worker itself alone
    Nanos armed SCHED_GUARDED_BY(mutex) = kForever;  // the tick that the host was asked for
    Nanos next_balance SCHED_GUARDED_BY(mutex){};
    std::atomic<int64_t> load{0};  // a hint for balancing
  };
  class DirectedYield;  // one in progress: scheduler_spin.cc
  static constexpr int32_t kHandoverRange = 8;

  Vcpu& vcpu_at(VcpuId vcpu) { return vcpus_[index_of(vcpu)]; }
  const Vcpu& vcpu_at(VcpuId vcpu) const { return vcpus_[index_of(vcpu)]; }
  Vm& vm_at(VmId vm) { return vms_[index_of(vm)]; }
  Worker& worker_at(WorkerId worker) { return workers_[index_of(worker)]; }
  Status& status_at(VcpuId vcpu) { return status_[index_of(vcpu)]; }

  void build_queues(const Setup& setup);
  static void account_state(Vcpu& vcpu, RunState next, Nanos now);
  void publish(Worker& worker, WorkerId id) SCHED_REQUIRES(worker.mutex);
  std::optional<Turn> pick_locked(Worker& worker, WorkerId id, Nanos now) SCHED_REQUIRES(worker.mutex);
  void arm(Worker& worker, WorkerId id, bool again = false) SCHED_REQUIRES(worker.mutex);
  Vcpu& leave_current(Worker& worker, Nanos now) SCHED_REQUIRES(worker.mutex);

  // Placement and movement (balance.cc). A moving vCPU is on no queue.
  WorkerId choose_worker(const Vcpu& vcpu) const;
  void enqueue_moving(Vcpu& vcpu, WorkerId to, Nanos now);
  void join(Worker& worker, WorkerId id, Vcpu& vcpu, Nanos now) SCHED_REQUIRES(worker.mutex);
  Vcpu* detach(Worker& worker, WorkerId id, Vcpu& vcpu, Nanos now) SCHED_REQUIRES(worker.mutex);
  static bool can_spare(const RunQueue& queue);
  Vcpu* take_waiting(WorkerId victim, Nanos now);
  Vcpu* choose_vcpu(const Worker& from, Imbalance excess, Nanos now) SCHED_REQUIRES(from.mutex);
  bool move_excess(WorkerId from, WorkerId to, Nanos now);
  bool steal(WorkerId thief, Nanos now);
  bool balance(WorkerId worker, Nanos now);
  void offer(WorkerId from);
  void wake_up(WorkerId worker);
  // VMs that stay whole (whole_vms.cc).
  static constexpr size_t kMoveAtOnce = 64;  // vCPUs
  WorkerId home_of(const Vcpu& vcpu) const {
    return vms_[index_of(vcpu.vm)].home.load(std::memory_order_relaxed);
  }
  WorkerId next_place(const Worker& here, WorkerId id, Vcpu& vcpu) const SCHED_REQUIRES(here.mutex);
  bool moves_whole(const Worker& from) const SCHED_REQUIRES(from.mutex);
  Vm* choose_vm(const Worker& from, WorkerId to, Imbalance excess, Nanos now) SCHED_REQUIRES(from.mutex);
  Vm* furthest_ahead(const Worker& than) SCHED_REQUIRES(than.mutex);
  void forgive();
  uint32_t detach_vm(Worker& from, WorkerId id, Vm& vm, std::span<Vcpu*> out, Nanos now)
      SCHED_REQUIRES(from.mutex);

  // Directed yields (scheduler_spin.cc).
  bool watches_sends(const Vm& vm) const;
  void note_spin_exit(Vcpu& me, Wait wait, Nanos now);
  void note_wait_at_send(Vcpu& me, Nanos now);
  bool yield_to_sibling(WorkerId id, Vcpu& me, bool alone, const YieldCause& cause, Nanos now);
  bool foresees_wait(Vcpu& me, Nanos now);
  SpinScan scan_of(const Vcpu& me, const YieldCause& cause, Nanos now);
  bool awaits_queued(const Vcpu& me, Nanos now);
  bool sends_and_waits(Vcpu& me);
  void note_wait(Vcpu& me);
  // Their outcome (scheduler_outcome.cc).
  bool went_on(const Handover& turn) const;
  void resume_sender(Vcpu& receiver, Nanos now);
  bool end_loan(Worker& worker, WorkerId id, Vcpu& borrower, Nanos now) SCHED_REQUIRES(worker.mutex);
  void note_return(Vcpu& vcpu);
  void forget(Vcpu& vcpu);
  void note_handover(const Vcpu& vcpu, int32_t step);
  bool begins_wait(const Vcpu& vcpu, Wait wait, Nanos now) const;
  void note_outcome(Vcpu& vcpu, bool waits_on);

  Host& host_;
  const Tuning tuning_;
  const Nanos spin_window_;
  bool moves_;          // vCPUs may change workers
  bool whole_ = false;  // VMs stay whole
  Hierarchy hierarchy_;
  std::deque<Vm> vms_;
  std::vector<Vcpu> vcpus_;  // never resized, because queues point at them
  std::unique_ptr<Status[]> status_;
  std::unique_ptr<Pulse[]> pulse_;
  std::vector<Worker> workers_;  // never resized: a mutex cannot move
  IdleWorkers idle_;             // a worker's part is changed under its lock, but for take_idle()
};

}  // namespace sched
