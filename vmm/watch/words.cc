#include "vmm/watch/words.h"

#include <fmt/format.h>

namespace vmm::watch {

std::string seconds(Nanos time) {
  const double value = static_cast<double>(time.count()) / 1e9;
  if (value >= 0.9995) return fmt::format("{:.1f} s", value);
  if (value >= 0.0009995) return fmt::format("{:.3g} ms", value * 1e3);
  return fmt::format("{:.3g} us", value * 1e6);
}

std::string name_of(const VcpuView& vcpu) {
  return fmt::format("vCPU {}.{}", index_of(vcpu.vm), index_of(vcpu.index));
}

std::string name_of(const MachineView& view, sched::VcpuId vcpu) {
  if (index_of(vcpu) >= view.vcpus.size()) return fmt::format("vCPU #{}", index_of(vcpu));
  return name_of(view.vcpus[index_of(vcpu)]);
}

std::string_view name_of(sched::RunState state) {
  switch (state) {
    case sched::RunState::kNew:
      return "new";
    case sched::RunState::kHalted:
      return "halted";
    case sched::RunState::kMoving:
      return "moving";
    case sched::RunState::kQueued:
      return "waiting";
    case sched::RunState::kRunning:
      return "running";
    case sched::RunState::kStopped:
      return "stopped";
  }
  return "?";
}

std::string_view name_of(WorkerView::Doing doing) {
  using Doing = WorkerView::Doing;
  switch (doing) {
    case Doing::kSwitching:
      return "between two vCPUs";
    case Doing::kGuest:
      return "in KVM_RUN";
    case Doing::kHandling:
      return "outside KVM_RUN";
    case Doing::kAsleep:
      return "asleep";
    case Doing::kParked:
      return "at the pause barrier";
    case Doing::kGone:
      return "ended";
  }
  return "?";
}

std::string_view words_of(char state) {
  switch (state) {
    case 'R':
      return "running or runnable";
    case 'S':
      return "sleeping in a system call";
    case 'D':
      return "blocked in the kernel";
    case 'T':
      return "stopped by a signal";
    case 't':
      return "stopped by a tracer";
    case 'Z':
    case 'X':
      return "dead";
    default:
      return "in an unknown state";
  }
}

std::string pending_of(const VcpuView& vcpu) {
  if (vcpu.event) return "an NMI, INIT or SIPI";
  if (vcpu.interrupt) return fmt::format("vector {:#x}", apic::raw(*vcpu.interrupt));
  return vcpu.extint ? "an interrupt of the 8259s" : "nothing";
}

}  // namespace vmm::watch
