// How engines make the parts of a MachineView. Any thread.
#pragma once

#include "vmm/run/kick.h"
#include "vmm/run/machine_view.h"
#include "vmm/run/pulse.h"
#include "vmm/run/vcpu.h"

namespace vmm {

[[nodiscard]] WorkerView view_of(const Pulse& pulse, Kicks::Phase phase, pid_t thread, Nanos now);
// Its times, and its state as the history has it.
[[nodiscard]] VcpuView view_of(const Vcpu& vcpu, const sched::StateHistory& history, Nanos now);
// For LAPICs of ours.
void look_at_lapic(const Vcpu& vcpu, VcpuView& view);

}  // namespace vmm
