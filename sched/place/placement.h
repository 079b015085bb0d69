// Which worker: where vCPUs begin, where they wake, what idle workers steal, and how all workers balance.
// Composed with the queues' mechanism (workers/), over which it moves vCPUs.
//
// Any thread may call, without a lock but where a function says otherwise; `worker` is the caller's own.
#pragma once

#include <atomic>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "sched/place/first_places.h"
#include "sched/place/imbalance.h"
#include "sched/place/steal.h"
#include "sched/policy/setup.h"
#include "sched/queue/hierarchy.h"
#include "sched/workers/workers.h"

namespace sched {

class Placement {
 public:
  // Gives every vCPU its first worker (Vcpu::last_worker). Before the run.
  Placement(const Setup& setup, const std::vector<VmInfo>& vms, Workers& workers, Hierarchy& hierarchy);

  // Nobody calls anything meanwhile: the run goes on as if it began with these policies. False: vCPUs begin
  // where they did. True: they are to go to place_of(); homes of VMs are set.
  [[nodiscard]] bool change(const Setup& setup, Nanos now);
  WorkerId place_of(VcpuId vcpu) const { return places_.of_vcpu[index_of(vcpu)]; }

  // Where a vCPU that starts or wakes is to go.
  WorkerId for_waking(const Vcpu& vcpu) const;
  // Where a vCPU that is taken off waits, if not here. `asked`: where its yield would have it.
  std::optional<WorkerId> after_turn(const Worker& here, const Vcpu& vcpu,
                                     std::optional<WorkerId> asked) const SCHED_REQUIRES(here.mutex);
  // Is it time to balance? Counts as done then.
  bool is_due(const Worker& worker, Nanos now) SCHED_REQUIRES(worker.mutex);
  void balance(Worker& worker, Nanos now);
  // The worker has nothing to run: takes work from another, by the rule of the run. True: it has work.
  bool steal(Worker& thief, Nanos now);

 private:
  struct Home {
    std::atomic<WorkerId> worker{kNoWorker};  // where a VM with affinity lives
    std::atomic<Nanos> since{Nanos{}};
  };
  // Nothing: it has none.
  std::optional<WorkerId> home_of(VmId vm) const {
    const WorkerId home = homes_[index_of(vm)].worker.load(std::memory_order_relaxed);
    return home == kNoWorker ? std::nullopt : std::optional(home);
  }
  void set_homes(Nanos now);
  const VmInfo& vm_of(GroupId group) const { return vms_[vm_of_group_[index_of(group)]]; }
  int64_t load_of(WorkerId worker) const { return workers_.at(worker).load.load(std::memory_order_relaxed); }

  // Single vCPUs (balance.cc).
  static bool can_spare(const RunQueue& queue);
  void take(Worker& from, Vcpu& vcpu, Nanos now) SCHED_REQUIRES(from.mutex);
  Vcpu* take_waiting(WorkerId victim, Nanos now);
  Vcpu* choose_vcpu(const Worker& from, Imbalance excess, Nanos now) SCHED_REQUIRES(from.mutex);
  bool move_excess(WorkerId from, WorkerId to, Nanos now);
  bool even_out(WorkerId worker, Nanos now);
  // VMs that stay together (affinity.cc).
  bool moves_vms(const Worker& from) const SCHED_REQUIRES(from.mutex);
  const VmInfo* choose_vm(const Worker& from, WorkerId to, Imbalance excess, Nanos now)
      SCHED_REQUIRES(from.mutex);
  const VmInfo* furthest_ahead(const Worker& than) SCHED_REQUIRES(than.mutex);
  void forgive();
  uint32_t take_vm(Worker& from, const VmInfo& vm, std::span<Vcpu*> out, Nanos now)
      SCHED_REQUIRES(from.mutex);

  const Tuning tuning_;
  const StealRule steal_rule_;
  const std::vector<VmInfo>& vms_;
  Workers& workers_;
  Hierarchy& hierarchy_;
  FirstPlaces places_;               // where vCPUs begin
  bool affinity_ = false;            // every VM has a home
  std::deque<Home> homes_;           // by VmId; an atomic cannot move
  std::vector<size_t> vm_of_group_;  // by GroupId: where the group is a VM, its VmId
  std::vector<Nanos> moved_at_;      // by VcpuId: guarded as the vCPU itself
  std::vector<Nanos> next_balance_;  // by WorkerId: under that worker's lock
};

}  // namespace sched
