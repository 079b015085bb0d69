// VM affinity: all vCPUs of a VM live on one worker, its home, and balancing gives it another.
// Siblings so never contend across workers, even where workers cannot have as many VMs each: who has one VM
// less changes from one balancing to the next.
//
// The home is a wish: a vCPU may be elsewhere, because an idle worker took it or it ran when its VM moved. It
// goes home when it is taken off a worker that other VMs need.
#include <algorithm>

#include "sched/base/check.h"
#include "sched/place/placement.h"

namespace sched {

// Not if one VM is all that there is here: then the other worker is without work, and can have a part of it.
bool Placement::moves_vms(const Worker& from) const { return affinity_ && from.eevdf->root().contested(); }

// For balance, as for vCPUs: the VM that brings the two loads closest; else, when moving one would only swap
// them, the one that has had most service. That it does once all have been here for a while, to where the VM
// lives that is furthest ahead, and if those that stay are behind that one.
//
// Who has run ahead of the others here, by more than a quarter of a turn, stays until that is worked off: elsewhere it
// would begin anew. Else one that runs ahead wherever it comes to, as a VM may whose vCPUs yield to each other all
// the time, would gain with each move. With no quarter at all too few moves are left, and VMs share less evenly.
const VmInfo* Placement::choose_vm(const Worker& from, WorkerId to, Imbalance excess, Nanos now) {
  const VmInfo* best = nullptr;
  const VmInfo* most = nullptr;
  bool settled = true;
  Nanos sum{};
  int64_t count = 0;
  int64_t left = excess.bar();
  forgive();
  from.eevdf->root().for_each([&](const Entity& entity) {
    const VmInfo& vm = vm_of(EevdfQueue::group_of(entity));
    SCHED_DCHECK(EevdfQueue::group_of(entity) == vm.group);  // there are no groups but the VMs'
    const int64_t gain = entity.weight.value;
    if (excess.left_by(gain) < left) {
      best = &vm;
      left = excess.left_by(gain);
    }
    settled = settled &&
              homes_[index_of(vm.id)].since.load(std::memory_order_relaxed) + tuning_.balance_interval <= now;
    const Nanos service = hierarchy_.service(vm.group);
    sum += service;
    ++count;
    const bool owes = from.eevdf->root().lag(entity) < Vruntime{-entity.request.ticks / 4};
    if (!excess.swaps_by(gain) || owes) return;
    if (most == nullptr || service > hierarchy_.service(most->group)) most = &vm;
  });
  if (best != nullptr || most == nullptr || !settled) return best;
  const Nanos stay = (sum - hierarchy_.service(most->group)) / std::max<int64_t>(1, count - 1);
  const VmInfo* ahead = furthest_ahead(from);
  const bool narrows =
      ahead != nullptr && home_of(ahead->id) == to && stay < hierarchy_.service(ahead->group);
  return narrows ? most : nullptr;
}

// Of the runnable VMs that live on workers with less load: the one that has had most service.
const VmInfo* Placement::furthest_ahead(const Worker& than) {
  const int64_t load = than.queue->load().value;
  const VmInfo* ahead = nullptr;
  for (const VmInfo& vm : vms_) {
    if (!hierarchy_.runnable(vm.group)) continue;
    if (load_of(*home_of(vm.id)) >= load - load / tuning_.balance_tolerance) continue;
    if (ahead == nullptr || hierarchy_.service(vm.group) > hierarchy_.service(ahead->group)) ahead = &vm;
  }
  return ahead;
}

// How much less a VM may have had than another is bounded: one that slept is owed nothing for that.
void Placement::forgive() {
  Nanos most{};
  for (const VmInfo& vm : vms_) most = std::max(most, hierarchy_.service(vm.group));
  const Nanos least = most - tuning_.balance_interval * tuning_.lag_limit_slices;
  for (const VmInfo& vm : vms_) {
    const Nanos behind = least - hierarchy_.service(vm.group);
    if (behind > Nanos{}) hierarchy_.add_service(vm.group, behind);
  }
}

// Takes those of the VM that wait here, as many as fit; the one that runs here is to follow soon. The rest
// goes home later.
uint32_t Placement::take_vm(Worker& from, const VmInfo& vm, std::span<Vcpu*> out, Nanos now) {
  homes_[index_of(vm.id)].since.store(now, std::memory_order_relaxed);
  uint32_t n = 0;
  for (uint32_t i = 0; i < vm.size && n < out.size(); ++i) {
    Vcpu& vcpu = workers_.vcpu(vm.vcpu(i));
    const Status::View status = workers_.status(vcpu.id).view();
    if (status.worker() != from.id) continue;  // if it is on this queue, this lock keeps it there
    if (status.state() == RunState::kQueued) {
      take(from, vcpu, now);
      out[n++] = &vcpu;
    }
    if (status.state() == RunState::kRunning) {
      from.eevdf->cancel_protection();
      workers_.kick(from.id);
    }
  }
  return n;
}

}  // namespace sched
