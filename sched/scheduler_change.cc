// Policies that change during a run.
#include <algorithm>

#include "sched/base/check.h"
#include "sched/policy/latency_key.h"
#include "sched/policy/parse.h"
#include "sched/scheduler.h"

namespace sched {

void Scheduler::set_turns(const VmInfo& vm) {
  for (uint32_t i = 0; i < vm.size; ++i) {
    Vcpu& vcpu = workers_.vcpu(vm.vcpu(i));
    vcpu.slice = vm.policy.tuning.slice;
    vcpu.round_limit = vm.policy.tuning.latency_target;
    vcpu.shortest_request = vm.policy.tuning.min_slice;
    vcpu.ipi_round_limit = vm.policy.tuning.ipi_latency;
    vcpu.shortest_for_ipi = std::min(vm.policy.tuning.min_slice, kLatencyMinSlice);
  }
}

// Of its groups.
void Scheduler::set_slices(const VmInfo& vm, Nanos slice) {
  const Cgroups cgroups = vm.policy.features.cgroups;
  if (cgroups != Cgroups::kNone) hierarchy_.set_slice(vm.group, slice);
  for (uint32_t i = 0; i < vm.size && cgroups == Cgroups::kVcpu; ++i)
    hierarchy_.set_slice(workers_.vcpu(vm.vcpu(i)).group, slice);
}

void Scheduler::change_policies(std::span<const Policy> policies, Nanos now) {
  SCHED_CHECK(policies.size() == vms_.size());
  for (VmInfo& vm : vms_) {
    const Policy& next = policies[index_of(vm.id)];
    SCHED_CHECK(next.features.queue == setup_.queue);
    if (!is_same_policy(vm.policy, next)) {
      ++vm.changes;
      workers_.tracer().say(TraceKind::kPolicy, now, kNoWorker, vm.vcpu(0), {.value = vm.changes});
      yields_->change(vm, next, now);
      set_slices(vm, next.tuning.slice);
    }
    vm.policy = next;
    setup_.vms[index_of(vm.id)].policy = next;
    set_turns(vm);
  }
  if (workers_.moves() && placement_->change(setup_, now)) go_to_places(now);
}

// As if all began anew. One at a time, so that no more than one queue is locked.
void Scheduler::go_to_places(Nanos now) {
  for (uint32_t i = 0; i < vcpus(); ++i) {
    Vcpu& vcpu = workers_.vcpu(VcpuId{i});
    const WorkerId to = placement_->place_of(vcpu.id);
    const Status::View status = workers_.status(vcpu.id).view();
    if (status.state() == RunState::kRunning) {
      if (status.worker() != to) yields_->send_away(vcpu, to);
    } else if (status.state() != RunState::kQueued) {
      vcpu.last_worker = to;
    } else if (status.worker() != to) {
      {
        Worker& from = workers_.at(status.worker());
        MutexLock lock(from.mutex);
        workers_.detach(from, vcpu, now);
      }
      workers_.enqueue(vcpu, to, now);
    }
  }
}

}  // namespace sched
