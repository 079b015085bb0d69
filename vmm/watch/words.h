// The words of findings and dumps. Pure.
#pragma once

#include <string>

#include "vmm/watch/judge.h"

namespace vmm::watch {

std::string seconds(Nanos time);            // "2.1 s", "35 ms"
std::string name_of(const VcpuView& vcpu);  // "vCPU 0.3"
std::string name_of(const MachineView& view, sched::VcpuId vcpu);
std::string_view name_of(sched::RunState state);
std::string_view name_of(WorkerView::Doing doing);
// "running or runnable", "stopped": of a state letter.
std::string_view words_of(char state);
// What is there for a halted vCPU to take: "vector 0x40", "an NMI, INIT or SIPI".
std::string pending_of(const VcpuView& vcpu);

}  // namespace vmm::watch
