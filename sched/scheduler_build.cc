// A run's scheduler, from its set-up.
#include <utility>

#include "sched/base/check.h"
#include "sched/queue/fifo_queue.h"
#include "sched/queue/gang_queue.h"
#include "sched/scheduler.h"

namespace sched {
namespace {

// Above this cost of a move every vCPU stays on the worker that it started on.
bool may_move(const Setup& setup) {
  return setup.queue != QueueKind::kGang && setup.tuning.migration_cost < setup.tuning.dear_move;
}

// Features that hold for the whole run are alike in all VMs (tuning_of_run()).
Features features_of_run(const Setup& setup) {
  return setup.vms.empty() ? Features{} : setup.vms.front().policy.features;
}

// On a flat queue a VM's weight is dealt out to its vCPUs: of the smallest, each still has a part that differs from
// its neighbour's.
int64_t resolution_for(const Setup& setup) {
  constexpr int64_t kFlat = 64;
  const bool flat = features_of_run(setup).levels == QueueLevels::kFlat;
  return Hierarchy::resolution_for(setup.workers) * (flat ? kFlat : 1);
}

uint32_t count_vcpus(const Setup& setup) {
  uint32_t n = 0;
  for (const VmSetup& vm : setup.vms) n += vm.vcpus;
  return n;
}

}  // namespace

Scheduler::Scheduler(const Setup& setup, Host& host)
    : setup_(setup),
      hierarchy_(resolution_for(setup), features_of_run(setup).vm_share, setup.workers),
      workers_(setup.workers, count_vcpus(setup), host) {
  if (!may_move(setup)) workers_.pin();
  number_vms(setup);
  placement_.emplace(setup, vms_, workers_, hierarchy_);
  yields_.emplace(workers_, vms_, setup.spin_window, setup.judges_yields);
  build_queues(setup);
}

Scheduler::~Scheduler() = default;

void Scheduler::number_vms(const Setup& setup) {
  for (const GroupSetup& group : setup.groups) hierarchy_.add(group.parent, group.weight, setup.tuning.slice);
  const Cgroups cgroups = features_of_run(setup).cgroups;
  uint32_t first = 0;
  for (const VmSetup& config : setup.vms) {
    const Nanos slice = config.policy.tuning.slice;
    const VmInfo& vm = vms_.emplace_back(
        VmInfo{.id = VmId{static_cast<uint32_t>(vms_.size())},
               .policy = config.policy,
               .first = first,
               .size = config.vcpus,
               .group = cgroups == Cgroups::kNone ? config.parent
                                                  : hierarchy_.add(config.parent, config.weight, slice)});
    for (uint32_t i = 0; i < vm.size; ++i) {
      Vcpu& vcpu = workers_.vcpu(vm.vcpu(i));
      vcpu.id = vm.vcpu(i);
      vcpu.vm = vm.id;
      vcpu.group = cgroups == Cgroups::kVcpu ? hierarchy_.add(vm.group, kDefaultWeight, slice) : vm.group;
      vcpu.index = i;
    }
    set_turns(vm);
    first += vm.size;
  }
}

void Scheduler::build_queues(const Setup& setup) {
  std::shared_ptr<GangPlan> gangs;
  if (setup.queue == QueueKind::kGang) {
    gangs = std::make_shared<GangPlan>(setup.workers, setup.tuning.slice);
    for (const VmSetup& vm : setup.vms) gangs->add(vm.vcpus, vm.weight);
    gangs->finish();
    for (uint32_t i = 0; i < vcpus(); ++i) {
      Vcpu& vcpu = workers_.vcpu(VcpuId{i});
      vcpu.last_worker = gangs->place(vcpu.vm, vcpu.index).column;
    }
  }
  for (uint32_t i = 0; i < setup.workers; ++i) {
    Worker& worker = workers_.at(WorkerId{i});
    MutexLock lock(worker.mutex);
    switch (setup.queue) {
      case QueueKind::kRoundRobin:
        worker.queue = std::make_unique<FifoQueue>();
        break;
      case QueueKind::kGang:
        worker.queue = std::make_unique<GangQueue>(gangs);
        break;
      default: {
        SCHED_CHECK(setup.queue == QueueKind::kEevdf);  // the host presets have no run queue of ours
        const EevdfConstants constants{.slice_jitter_permille = setup.tuning.slice_jitter_permille,
                                       .lag_limit_slices = setup.tuning.lag_limit_slices,
                                       .flat = features_of_run(setup).levels == QueueLevels::kFlat};
        auto queue = std::make_unique<EevdfQueue>(hierarchy_, constants, setup.seed * setup.workers + i);
        worker.eevdf = queue.get();
        worker.queue = std::move(queue);
      }
    }
  }
}

}  // namespace sched
