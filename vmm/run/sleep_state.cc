#include "vmm/run/sleep_state.h"

#include <fmt/format.h>

#include <algorithm>

namespace vmm {
namespace {

using Kind = SleepState::Kind;

constexpr uint64_t kInterruptFlag = 1u << 9;  // of RFLAGS

void look_at_ours(const Vcpu& vcpu, Nanos now, SleepState& state) {
  const bool held = vcpu.held_nmis > 0;
  if (vcpu.waiting_for_sipi) {
    state.kind = Kind::kWaitsForSipi;
    state.pending = vcpu.lapic.has_event();
  } else if (vcpu.halted && vcpu.halted_deaf) {
    state.kind = Kind::kDeaf;
    state.pending = held || vcpu.has_reason_to_wake();
  } else if (vcpu.halted) {
    state.kind = Kind::kHalted;
    state.pending = held || vcpu.has_reason_to_wake();
  }
  if (const auto deadline = vcpu.lapic.timer_deadline()) {
    state.timer = true;
    state.timer_due = *deadline - now;
  }
}

void look_at_kvms(const Vcpu& vcpu, SleepState& state) {
  const auto seen = vcpu.kvm.look_at_sleep();
  if (!seen) return;  // nobody knows
  state.pending = seen->event_pending;
  switch (seen->mp_state) {
    case KVM_MP_STATE_UNINITIALIZED:
    case KVM_MP_STATE_INIT_RECEIVED:
      state.kind = Kind::kWaitsForSipi;
      return;
    case KVM_MP_STATE_HALTED:
      state.kind = (vcpu.kvm.regs().rflags & kInterruptFlag) == 0 ? Kind::kDeaf : Kind::kHalted;
      break;
    default:
      return;
  }
  state.timer = seen->timer_armed;
  state.pending = state.pending || seen->local_nmi;
  if (state.kind == Kind::kDeaf) return;
  state.pending = state.pending || seen->interrupt_pending || (vcpu.extint != nullptr && vcpu.extint->requested());
}

const char* name(Kind kind) {
  switch (kind) {
    case Kind::kAwake:
      return "awake";
    case Kind::kStopped:
      return "stopped by itself";
    case Kind::kWaitsForSipi:
      return "waits for a SIPI";
    case Kind::kDeaf:
      return "halted with interrupts off";
    case Kind::kHalted:
      return "halted with interrupts on";
  }
  return "";
}

std::string timer_text(const SleepState& state) {
  if (state.kind != Kind::kHalted) return "";
  if (!state.timer) return ", no timer armed";
  if (state.timer_due == Nanos{}) return ", its timer armed";
  const double seconds = std::chrono::duration<double>(state.timer_due).count();
  return seconds > 0 ? fmt::format(", its timer due in {:.3g} s", seconds)
                     : fmt::format(", its timer overdue by {:.3g} s", -seconds);
}

}  // namespace

SleepState sleep_state(Vcpu& vcpu, LapicPlace lapic, Nanos now) {
  SleepState state;
  state.rip = vcpu.kvm.rip();
  state.cpl = vcpu.kvm.cpl();
  if (vcpu.stopped) {
    state.kind = Kind::kStopped;
  } else if (lapic == LapicPlace::kKernel) {
    look_at_kvms(vcpu, state);
  } else {
    look_at_ours(vcpu, now, state);
  }
  return state;
}

std::vector<SleepState> sleep_states(Vm& vm, Nanos now) {
  std::vector<SleepState> states;
  for (uint32_t i = 0; i < vm.vcpu_count(); ++i) {
    states.push_back(sleep_state(vm.vcpu(VcpuIndex{i}), vm.fd().options().lapic, now));
  }
  return states;
}

bool never_again(std::span<const SleepState> vcpus, Wake devices) {
  return !vcpus.empty() && std::all_of(vcpus.begin(), vcpus.end(), [&](const SleepState& vcpu) {
    switch (vcpu.kind) {
      case Kind::kAwake:
        return false;
      case Kind::kStopped:
        return true;
      case Kind::kWaitsForSipi:
        return !vcpu.pending;  // only another vCPU sends one
      case Kind::kDeaf:
        return !vcpu.pending && devices != Wake::kEvents;
      case Kind::kHalted:
        return !vcpu.pending && !vcpu.timer && devices == Wake::kNothing;
    }
    return false;
  });
}

std::string describe(std::span<const SleepState> vcpus) {
  constexpr size_t kMostNamed = 16;
  std::string text;
  for (size_t i = 0; i < std::min(kMostNamed, vcpus.size()); ++i) {
    const SleepState& vcpu = vcpus[i];
    text += fmt::format("{}vCPU {} {} at RIP {:#x}, CPL {}{}{}", i == 0 ? "" : "; ", i, name(vcpu.kind), vcpu.rip,
                        vcpu.cpl, timer_text(vcpu), vcpu.pending ? ", something pending" : "");
  }
  if (vcpus.size() > kMostNamed) text += fmt::format("; and {} other vCPUs", vcpus.size() - kMostNamed);
  return text;
}

}  // namespace vmm
