// VMs that stay whole: all vCPUs of one live on one worker, its home, and balancing gives it another.
// Siblings so never contend across workers, even where workers cannot have as many VMs each: who has one VM
// less changes from one balancing to the next.
//
// The home is a wish: a vCPU may be elsewhere, because an idle worker took it or it ran when its VM moved. It
// goes home when it is taken off a worker that other VMs need.
#include <algorithm>
#include <utility>

#include "sched/base/check.h"
#include "sched/scheduler.h"

namespace sched {

// Where a vCPU that is taken off waits; kNoWorker: here.
WorkerId Scheduler::next_place(const Worker& here, WorkerId id, Vcpu& vcpu) const {
  const WorkerId asked = std::exchange(vcpu.move_to, kNoWorker);
  const WorkerId home = home_of(vcpu);
  if (home == kNoWorker) return asked;
  if (home == id) return kNoWorker;
  return asked == home || here.eevdf->root().contested() ? home : kNoWorker;
}

// Not if one VM is all that there is here: then the other worker is without work, and can have a part of it.
bool Scheduler::moves_whole(const Worker& from) const { return whole_ && from.eevdf->root().contested(); }

// For balance, as for vCPUs: the VM that brings the two loads closest; else, when moving one would only swap
// them, the one that has had most service. That it does once all have been here for a while, to where the VM
// lives that is furthest ahead, and if those that stay are behind that one.
Scheduler::Vm* Scheduler::choose_vm(const Worker& from, WorkerId to, Imbalance excess, Nanos now) {
  Vm* best = nullptr;
  Vm* most = nullptr;
  bool settled = true;
  Nanos sum{};
  int64_t count = 0;
  int64_t left = excess.bar();
  forgive();
  from.eevdf->root().for_each([&](const Entity& entity) {
    Vm& vm = vm_at(VmId{entity.id});
    SCHED_DCHECK(index_of(vm.group) == entity.id);  // there are no groups but the VMs'
    const int64_t gain = entity.weight.value;
    if (excess.left_by(gain) < left) {
      best = &vm;
      left = excess.left_by(gain);
    }
    settled = settled && vm.moved_at.load(std::memory_order_relaxed) + tuning_.balance_interval <= now;
    const Nanos service = hierarchy_.service(vm.group);
    sum += service;
    ++count;
    if (!excess.swaps_by(gain)) return;
    if (most == nullptr || service > hierarchy_.service(most->group)) most = &vm;
  });
  if (best != nullptr || most == nullptr || !settled) return best;
  const Nanos stay = (sum - hierarchy_.service(most->group)) / std::max<int64_t>(1, count - 1);
  const Vm* ahead = furthest_ahead(from);
  const bool narrows = ahead != nullptr && ahead->home.load(std::memory_order_relaxed) == to &&
                       stay < hierarchy_.service(ahead->group);
  return narrows ? most : nullptr;
}

// Of the runnable VMs that live on workers with less load: the one that has had most service.
Scheduler::Vm* Scheduler::furthest_ahead(const Worker& than) {
  const int64_t load = than.queue->load().value;
  Vm* ahead = nullptr;
  for (Vm& vm : vms_) {
    if (!hierarchy_.runnable(vm.group)) continue;
    const Worker& home = worker_at(vm.home.load(std::memory_order_relaxed));
    if (home.load.load(std::memory_order_relaxed) >= load - load / 8) continue;
    if (ahead == nullptr || hierarchy_.service(vm.group) > hierarchy_.service(ahead->group)) ahead = &vm;
  }
  return ahead;
}

// How much less a VM may have had than another is bounded: one that slept is owed nothing for that.
void Scheduler::forgive() {
  Nanos most{};
  for (const Vm& vm : vms_) most = std::max(most, hierarchy_.service(vm.group));
  const Nanos least = most - tuning_.balance_interval * tuning_.lag_limit_slices;
  for (const Vm& vm : vms_) {
    const Nanos behind = least - hierarchy_.service(vm.group);
    if (behind > Nanos{}) hierarchy_.add_service(vm.group, behind);
  }
}

// Takes those of the VM that wait here, as many as fit; the one that runs here is to follow soon. The rest
// goes home later.
uint32_t Scheduler::detach_vm(Worker& from, WorkerId id, Vm& vm, std::span<Vcpu*> out, Nanos now) {
  vm.moved_at.store(now, std::memory_order_relaxed);
  uint32_t n = 0;
  for (uint32_t i = 0; i < vm.size && n < out.size(); ++i) {
    Vcpu& vcpu = vcpus_[vm.first + i];
    const Status::View status = status_at(vcpu.id).view();
    if (status.worker() != id) continue;  // if it is on this queue, this lock keeps it there
    if (status.state() == RunState::kQueued) out[n++] = detach(from, id, vcpu, now);
    if (status.state() == RunState::kRunning) {
      from.eevdf->cancel_protection();
      host_.kick(id);
    }
  }
  return n;
}

}  // namespace sched
