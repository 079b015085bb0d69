// Directed yields: what follows from a reason to yield, from the charge of the yielder to the effect on the
// queues, and what becomes of it.
//
// Composed of: whom (candidate.h), where and with what value (attempt.h), with what effect (effect.h), and
// what is learned from the outcome (outcome.cc). Beside it, what guests publish and what follows without a
// yield (extension.cc). Threads and locks: as each function says; what it remembers
// is guarded as memory.h says.
#pragma once

#include <optional>
#include <vector>

#include "sched/base/guest_page.h"
#include "sched/ipi/model.h"
#include "sched/policy/setup.h"
#include "sched/workers/workers.h"
#include "sched/yield/candidate.h"
#include "sched/yield/memory.h"
#include "sched/yield/needed.h"

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

class DirectedYields {
 public:
  DirectedYields(Workers& workers, const std::vector<VmInfo>& vms, Nanos spin_window, bool judges);
  // Before the run: what the VM publishes, and where it is told. `pages` outlives the run.
  void guest_publishes(const VmInfo& vm, const GuestPages& pages);

  // --- any thread, while no policy changes ---
  // Does this vCPU of the VM wait for that one's acknowledgement, as far as the policy remembers?
  bool awaits(const VmInfo& vm, uint32_t sender, uint32_t receiver, Nanos now) const;

  // --- by the worker itself, without a lock ---
  // The running vCPU has a reason to yield. True: it must be put().
  bool yield(Worker& worker, const YieldCause& cause, Nanos now) SCHED_REQUIRES(worker.self);
  // The vCPU that it runs has acknowledged an interrupt.
  void acknowledged(Vcpu& receiver, IrqVector vector, Nanos now);
  // Nobody calls anything meanwhile: see YieldMemory::change().
  void change(const VmInfo& vm, const Policy& next, Nanos now);
  // Any thread that has just changed its state: it waits for a worker, or does not. Its guest may want to know.
  void tell_preempted(const Vcpu& vcpu, bool preempted);
  // Nobody calls anything meanwhile: the vCPU that runs waits there after its turn.
  void send_away(const Vcpu& running, WorkerId to) { memory_.of_held(running).move_to = to; }
  // The vCPU that it holds runs no more what it ran.
  void forget(Vcpu& vcpu);

  // --- under the worker's lock ---
  // The vCPU comes onto the worker: what it was handed holds from now on.
  void begin_turn(Worker& worker, Vcpu& vcpu, Nanos now) SCHED_REQUIRES(worker.mutex);
  // Worker::turn_limit is reached. True: the turn is over.
  bool end_donation(Worker& worker, Vcpu& vcpu, Nanos now) SCHED_REQUIRES(worker.mutex);
  // Its turn is over, but it goes on: until Worker::extended_until, once a turn.
  bool extends(Worker& worker, Vcpu& vcpu, Nanos now) SCHED_REQUIRES(worker.mutex);
  // It leaves the worker: where it would wait now, if elsewhere.
  std::optional<WorkerId> end_turn(Worker& worker, Vcpu& vcpu, Nanos now) SCHED_REQUIRES(worker.mutex);

  // --- by the thread that runs the sender, without a lock: see ipi/model.h ---
  void ipi_sending(const VmInfo& vm, const IpiSend& send, Nanos now);
  void ipi_accepted(const VmInfo& vm, const IpiSend& send, const VcpuSet& accepted, Nanos now);

 private:
  const VmInfo& vm_of(const Vcpu& vcpu) const { return vms_[index_of(vcpu.vm)]; }

  // A reason, and whom it leads to (directed_yields.cc).
  bool begins_wait(const VcpuYields& me, const VmInfo& vm, Wait wait, Nanos now) const;
  void note_spin_exit(Worker& worker, Vcpu& me, Wait wait, Nanos now)
      SCHED_REQUIRES(worker.self, worker.mutex);
  void note_wait_at_send(Worker& worker, Vcpu& me, Nanos now) SCHED_REQUIRES(worker.self, worker.mutex);
  bool yield_to_sibling(Worker& worker, Vcpu& me, bool alone, const YieldCause& cause, Nanos now)
      SCHED_REQUIRES(worker.self);
  // More than one sibling.
  bool run_beside(const VmInfo& vm, WorkerId here) const;
  SpinScan scan_of(const Worker& worker, const Vcpu& me, const YieldCause& cause, Nanos now)
      SCHED_REQUIRES(worker.self);
  bool foresees_wait(const Worker& worker, const Vcpu& me, Nanos now) SCHED_REQUIRES(worker.self);
  bool awaits_queued(const Vcpu& me, Nanos now);
  VcpuBits queued_that_it_needs(const Vcpu& me, bool at_send) const;

  // Without a yield (extension.cc).
  void tell(const VmInfo& vm, const Features& features);
  void urge_receivers(Worker& here, Vcpu& me, Nanos now) SCHED_REQUIRES(here.self);
  bool urge(Worker& where, Vcpu& receiver, const Vcpu& sender, bool elsewhere);
  Nanos extension_of(const Worker& worker, const Vcpu& vcpu, Nanos now) SCHED_REQUIRES(worker.mutex);
  bool waits_elsewhere(const Worker& here, const Vcpu& sender, Nanos now) const;

  // What becomes of it (outcome.cc).
  bool went_on(const Handover& turn) const;
  void switch_back(Vcpu& receiver, Nanos now);
  void note_outcome(const Worker& worker, Vcpu& vcpu, VcpuYields& yields, bool waits_on, Nanos now);

  Workers& workers_;
  const std::vector<VmInfo>& vms_;
  const Nanos spin_window_;
  const bool judges_;
  YieldMemory memory_;
  std::vector<GuestPages> pages_;  // by VmId
};

}  // namespace sched
