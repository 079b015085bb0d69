#include "vmm/watch/dossier.h"

#include <chrono>
#include <thread>

namespace vmm::watch {
namespace {

constexpr uint64_t kInterruptFlag = 1u << 9;  // of RFLAGS
constexpr size_t kMostPairs = 64;

// Locks are held for microseconds. One that is held for longer is part of the story.
std::optional<sched::QueueLook> patient_look(const Engine& engine, sched::WorkerId worker) {
  constexpr int kTries = 20;
  sched::QueueLook look;
  for (int i = 0; i < kTries; ++i) {
    if (engine.try_look_at_queue(worker, look)) return look;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return std::nullopt;
}

Registers registers_of(Vcpu& vcpu, LapicPlace place, const Symbolize& symbolize, Nanos now) {
  Registers registers{.rip = vcpu.kvm.rip(),
                      .cpl = vcpu.kvm.cpl(),
                      .interrupts = (vcpu.kvm.regs().rflags & kInterruptFlag) != 0,
                      .symbol = {},
                      .sleep = sleep_state(vcpu, place, now),
                      .lapic = {},
                      .timer_in = {}};
  if (symbolize) registers.symbol = symbolize(vcpu.vm, registers.rip);
  if (place == LapicPlace::kKernel) return registers;
  registers.lapic = vcpu.lapic.summary();
  if (const auto deadline = vcpu.lapic.timer_deadline()) registers.timer_in = *deadline - now;
  return registers;
}

void look_at_awaited(const Engine& engine, Vm& vm, Nanos now, Dossier& dossier) {
  for (uint32_t i = 0; i < vm.vcpu_count(); ++i) {
    for (uint32_t j = 0; j < vm.vcpu_count() && dossier.awaited.size() < kMostPairs; ++j) {
      const Vcpu& sender = vm.vcpu(VcpuIndex{i});
      const Vcpu& receiver = vm.vcpu(VcpuIndex{j});
      if (i != j && engine.awaits(sender, receiver, now))
        dossier.awaited.emplace_back(sender.id, receiver.id);
    }
  }
}

}  // namespace

void look_on(const Engine& engine, Dossier& dossier) {
  dossier.queues.clear();
  dossier.histories.clear();
  for (size_t i = 0; dossier.has_own_queues && i < dossier.view.workers.size(); ++i) {
    dossier.queues.push_back(patient_look(engine, sched::WorkerId{static_cast<uint32_t>(i)}));
  }
  for (const RunningVm& running : engine.vms()) {
    for (uint32_t i = 0; i < running.vm->vcpu_count(); ++i) {
      dossier.histories.push_back(engine.history(running.vm->vcpu(VcpuIndex{i})).entries());
    }
  }
}

void look_inside(const Engine& engine, const Symbolize& symbolize, Nanos now, Dossier& dossier) {
  dossier.registers.clear();
  dossier.awaited.clear();
  for (const RunningVm& running : engine.vms()) {
    Vm& vm = *running.vm;
    for (uint32_t i = 0; i < vm.vcpu_count(); ++i) {
      dossier.registers.push_back(
          registers_of(vm.vcpu(VcpuIndex{i}), vm.fd().options().lapic, symbolize, now));
    }
    look_at_awaited(engine, vm, now, dossier);
  }
}

}  // namespace vmm::watch
