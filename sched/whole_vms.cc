// VMs that stay whole: all vCPUs of one live on one worker, its home, and balancing gives it another.
// Siblings so never contend across workers, even where workers cannot have as many VMs each: who has one VM
// less changes from one balancing to the next.
//
// The home is a wish: a vCPU may be elsewhere, because an idle worker took it or it ran when its VM moved. It
// goes home when it is taken off a worker that other VMs need.
#include <cstdlib>
#include <utility>

#include "sched/check.h"
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
// them, the one that has had most service, once all have been here for a while. So whoever has had less gets
// the worker with one VM less.
Scheduler::Vm* Scheduler::choose_vm(const Worker& from, int64_t excess, Nanos now) {
  Vm* best = nullptr;
  Vm* most = nullptr;
  bool settled = true;
  int64_t left = excess - excess / 8;  // an eighth: shares are rounded and a moment old
  from.eevdf->root().for_each([&](const Entity& entity) {
    Vm& vm = vm_at(VmId{entity.id});
    SCHED_DCHECK(index_of(vm.group) == entity.id);  // there are no groups but the VMs'
    const int64_t gain = entity.weight.value;
    if (const int64_t difference = std::abs(excess - 2 * gain); difference < left) {
      best = &vm;
      left = difference;
    }
    settled = settled && vm.moved_at.load(std::memory_order_relaxed) + tuning_.balance_interval <= now;
    if (excess < gain - gain / 8) return;
    if (most == nullptr || hierarchy_.service(vm.group) > hierarchy_.service(most->group)) most = &vm;
  });
  if (best != nullptr || most == nullptr) return best;
  forgive(from, hierarchy_.service(most->group));
  return settled ? most : nullptr;
}

// What a VM here may be behind the others is bounded: one that slept is owed nothing for that.
void Scheduler::forgive(const Worker& from, Nanos most) {
  const Nanos least = most - tuning_.balance_interval * tuning_.lag_limit_slices;
  from.eevdf->root().for_each([&](const Entity& entity) {
    const GroupId group{entity.id};
    const Nanos behind = least - hierarchy_.service(group);
    if (behind > Nanos{}) hierarchy_.add_service(group, behind);
  });
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
    if (status.state() == RunState::kQueued) out[n++] = detach(from, vcpu, now);
    if (status.state() == RunState::kRunning) {
      from.eevdf->cancel_protection();
      host_.kick(id);
    }
  }
  return n;
}

}  // namespace sched
