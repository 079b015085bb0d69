// Looking on while others work: for watchdogs and live views.
#include <algorithm>
#include <tuple>

#include "sched/scheduler.h"

namespace sched {

bool Scheduler::try_look(WorkerId id, QueueLook& look) {
  Worker& worker = workers_.at(id);
  if (!worker.mutex.try_lock()) return false;
  look = {.is_eevdf = worker.eevdf != nullptr,
          .idle = worker.idle,
          .armed = worker.armed,
          .turn_limit = worker.turn_limit,
          .runnable = worker.queue->runnable(),
          .vcpus = {}};
  for (uint32_t i = 0; i < vcpus(); ++i) {
    const Status::View status = workers_.status(VcpuId{i}).view();
    const bool is_here = status.state() == RunState::kQueued || status.state() == RunState::kRunning;
    if (!is_here || status.worker() != id) continue;  // who is on this queue cannot leave it now
    const Vcpu& vcpu = workers_.vcpu(VcpuId{i});
    QueuedVcpu& queued =
        look.vcpus.emplace_back(QueuedVcpu{.vcpu = vcpu.id, .is_current = worker.queue->current() == &vcpu});
    if (worker.eevdf == nullptr || vcpu.timeline == nullptr) continue;
    queued.vruntime = vcpu.vruntime;
    queued.deadline = vcpu.deadline;
    queued.lag = vcpu.timeline->lag(vcpu);
    queued.eligible = vcpu.timeline->eligible(vcpu);
    const Entity* group = vcpu.timeline->owner();
    if (group != nullptr && group->timeline != nullptr) queued.group_lag = group->timeline->lag(*group);
  }
  worker.mutex.unlock();
  std::sort(look.vcpus.begin(), look.vcpus.end(), [](const QueuedVcpu& a, const QueuedVcpu& b) {
    return std::tuple(a.deadline, a.vcpu) < std::tuple(b.deadline, b.vcpu);
  });
  return true;
}

void Scheduler::reset_peaks() {
  for (uint32_t i = 0; i < vcpus(); ++i) workers_.vcpu(VcpuId{i}).stats.worst_wait = Nanos{};
}

// A fault, for tests of who looks on.
bool Scheduler::loses_wakeup() {
  return (wakeups_.fetch_add(1, std::memory_order_relaxed) + 1) % setup_.loses_wakeups == 0;
}

}  // namespace sched
