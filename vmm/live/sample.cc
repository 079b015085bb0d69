#include "vmm/live/sample.h"

namespace vmm {

void look_at(const ObservedRun& run, LiveSample& sample) {
  run.engine.look(sample.machine);
  sample.counted.clear();
  sample.guests.clear();
  const bool asks_guests = run.guest && sample.machine.vcpus.size() <= kMostGuestCounters;
  for (const RunningVm& running : run.engine.vms()) {
    for (uint32_t i = 0; i < running.vm->vcpu_count(); ++i) {
      sample.counted.push_back(run.engine.counted(running.vm->vcpu(VcpuIndex{i})));
      if (asks_guests) sample.guests.push_back(run.guest(running.vm->id(), VcpuIndex{i}));
    }
  }
  sample.steals = run.engine.moves_made(sched::TraceMove::kSteal);
  sample.balances = run.engine.moves_made(sched::TraceMove::kBalance);
  sample.tsc_khz = run.tsc_khz;
  sample.host_schedules = run.host_schedules;
}

}  // namespace vmm
