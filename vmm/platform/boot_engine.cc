#include "vmm/platform/boot_engine.h"

#include <fmt/format.h>

#include "sched/policy/parse.h"
#include "vmm/run/host_machine.h"
#include "vmm/run/machine.h"
#include "vmm/run/moves.h"
#include "vmm/run/setup.h"

namespace vmm {
namespace {

constexpr Nanos kSpinWindow{50'000};
constexpr Nanos kSampleCost{10'000};  // of a look whether a vCPU busy-waits: not calibrated here

}  // namespace

RunSpec as_run(const BootSpec& spec) {
  RunSpec run;
  run.workers = spec.workers;
  run.seed = spec.seed;
  run.loses_wakeups = spec.loses_wakeups;
  run.carriers = spec.carriers;
  VmSpec vm;
  vm.vcpus = spec.vcpus;
  vm.policy = spec.policy;
  vm.weight = sched::kDefaultWeight;
  run.vms.push_back(std::move(vm));
  run.changes = spec.changes;
  run.duration = spec.timeout.value_or(sched::kForever);
  return run;
}

Result<std::unique_ptr<Engine>> make_boot_engine(const BootSpec& spec) {
  const sched::QueueKind queue = spec.policy.features.queue;
  if (!spec.changes.empty()) {
    if (auto ok = check_together(as_run(spec)); !ok) return Failure(ok.error());
  }
  const bool split = spec.irqchip == Irqchip::kSplit;
  if (!sched::is_host_queue(queue)) {
    if (split) {
      return usage_error(
          "--irqchip split",
          fmt::format("the policy '{}' schedules vCPUs by their IPIs and halts, which KVM's own LAPICs "
                      "keep to themselves; accepted with split are host and host-kvm",
                      spec.policy.name));
    }
    RunSpec run = as_run(spec);
    const auto moves = weigh_moves(run, move_costs_for(run));
    const auto setup = make_setup(run, kSpinWindow);
    if (!setup) return Failure(setup.error());
    return std::make_unique<Machine>(*setup, kSampleCost, Nanos{}, spec.event_loop, moves && moves->carried);
  }
  const HostMode mode{.lapic = split ? LapicPlace::kKernel : LapicPlace::kUserSpace, .yield_on_spin = false};
  return std::make_unique<HostMachine>(mode, spec.workers);
}

}  // namespace vmm
