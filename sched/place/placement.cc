#include "sched/place/placement.h"

#include <algorithm>

#include "sched/place/first_places.h"

namespace sched {

Placement::Placement(const Setup& setup, const std::vector<VmInfo>& vms, Workers& workers,
                     Hierarchy& hierarchy)
    : tuning_(setup.tuning),
      vms_(vms),
      workers_(workers),
      hierarchy_(hierarchy),
      homes_(vms.size()),
      vm_of_group_(hierarchy.size()),
      moved_at_(workers.vcpus()) {
  for (const VmInfo& vm : vms) vm_of_group_[index_of(vm.group)] = index_of(vm.id);
  const FirstPlaces places = first_places(setup);
  for (uint32_t i = 0; i < workers.vcpus(); ++i) workers.vcpu(VcpuId{i}).last_worker = places.of_vcpu[i];
  affinity_ = places.whole;
  if (affinity_) {
    for (const VmInfo& vm : vms) homes_[index_of(vm.id)].worker = places.of_vcpu[vm.first];
    hierarchy.count_service();
  }
  // Staggered, so that workers do not all look at each other at once.
  for (uint32_t i = 0; i < workers.count(); ++i) {
    next_balance_.push_back(tuning_.balance_interval * (i + 1) / workers.count());
  }
}

// Its VM's home or its own last worker if that is idle; else an idle one, if there is any.
WorkerId Placement::for_waking(const Vcpu& vcpu) const {
  const WorkerId home = home_of(vcpu.vm);
  const WorkerId last = home != kNoWorker ? home : vcpu.last_worker;
  if (!workers_.moves()) return last;
  return workers_.idle().find_idle(last).value_or(last);
}

std::optional<WorkerId> Placement::after_turn(const Worker& here, const Vcpu& vcpu,
                                              std::optional<WorkerId> asked) const {
  const WorkerId home = home_of(vcpu.vm);
  if (home == kNoWorker) return asked;
  if (home == here.id) return std::nullopt;
  return asked == home || here.eevdf->root().contested() ? std::optional(home) : std::nullopt;
}

bool Placement::is_due(const Worker& worker, Nanos now) {
  Nanos& next = next_balance_[index_of(worker.id)];
  if (now < next) return false;
  next = now + tuning_.balance_interval;
  return true;
}

void Placement::balance(Worker& worker, Nanos now) {
  if (!workers_.moves() || even_out(worker.id, now)) return;
  // Those who should go run just now: soon again.
  MutexLock lock(worker.mutex);
  Nanos& next = next_balance_[index_of(worker.id)];
  next = std::min(next, now + tuning_.slice);
}

bool Placement::steal(Worker& thief, Nanos now) {
  if (!workers_.moves()) return false;
  for (uint32_t i = 1; i < workers_.count(); ++i) {
    const WorkerId victim{(index_of(thief.id) + i) % workers_.count()};
    if (workers_.idle().waiting(victim) == 0) continue;
    Vcpu* vcpu = take_waiting(victim, now);
    if (vcpu == nullptr) continue;
    {
      MutexLock lock(thief.mutex);
      if (thief.idle) workers_.set_idle(thief, false);
    }
    workers_.enqueue(*vcpu, thief.id, now);
    return true;
  }
  return false;
}

}  // namespace sched
