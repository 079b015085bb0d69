#include "vmm/run/sim_watch.h"

#include <algorithm>

#include "sched/policy/longest_wait.h"
#include "vmm/watch/promise.h"

namespace vmm {
namespace {

constexpr size_t kMostStalls = 100;

}  // namespace

SimWatch::SimWatch(const RunSpec& spec, const sched::sim::Config& config)
    : on_(spec.stall > Nanos{} && config.threads == sched::sim::Threads::kWorkers),
      judge_({.stall = on_ ? spec.stall : sched::kForever,
              .longest_wait = on_ ? watch::promised_wait(spec) : std::function<Nanos(uint32_t)>{},
              .cpus = spec.workers}) {
  view_.workers.resize(on_ ? spec.workers : 0);
  if (!on_) return;
  for (size_t vm = 0; vm < spec.vms.size(); ++vm) {
    for (uint32_t i = 0; i < spec.vms[vm].vcpus; ++i) {
      VcpuView& vcpu = view_.vcpus.emplace_back();
      vcpu.id = sched::VcpuId{static_cast<uint32_t>(view_.vcpus.size() - 1)};
      vcpu.vm = VmId{static_cast<uint32_t>(vm)};
      vcpu.index = VcpuIndex{i};
      vcpu.has_lapic = true;
    }
  }
}

void SimWatch::look(const sched::sim::Simulator& simulator) {
  if (!on_) return;
  view_.at = simulator.now();
  for (WorkerView& worker : view_.workers) {
    worker = {};
    worker.doing = WorkerView::Doing::kAsleep;
    worker.beats = simulator.events();  // simulated workers are never stuck
  }
  for (VcpuView& vcpu : view_.vcpus) {
    const sched::StateHistory::Moment moment = simulator.scheduler().history(vcpu.id).now();
    vcpu.state = simulator.scheduler().status(vcpu.id).state();
    vcpu.since = moment.since;
    vcpu.worker = moment.worker;
    vcpu.interrupt.reset();
    if (const auto vector = simulator.interrupt(vcpu.id))
      vcpu.interrupt = apic::Vector(static_cast<uint8_t>(*vector));
    if (index_of(vcpu.worker) >= view_.workers.size()) continue;
    WorkerView& worker = view_.workers[index_of(vcpu.worker)];
    if (vcpu.state == sched::RunState::kQueued) ++worker.runnable;
    if (vcpu.state != sched::RunState::kRunning) continue;
    ++worker.runnable;
    worker.doing = WorkerView::Doing::kGuest;
    worker.vcpu = vcpu.id;
    worker.since = vcpu.since;
  }
  for (const watch::Finding& finding : judge_.look(view_, {})) {
    if (stalls_.size() < kMostStalls) stalls_.push_back(finding.text);
  }
}

void SimWatch::finish(RunResult& result) const {
  result.stalls = stalls_;
  result.stalled = !judge_.standing().empty();
}

}  // namespace vmm
