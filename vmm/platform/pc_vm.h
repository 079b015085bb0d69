// A VM with a PC around it, its image loaded and its vCPUs where firmware would have left them: what `kvmux
// boot` boots, and what a run has beside tiny guests.
//
// Built by one thread before the engine starts; goes when the engine has stopped.
#pragma once

#include <memory>

#include "vmm/load/boot_image.h"
#include "vmm/platform/pc_board.h"
#include "vmm/run/engine.h"

namespace vmm {

struct PcVmSetup {
  VmOptions options;
  sched::VcpuId first{};
  uint64_t memory_bytes = 0;  // a multiple of 2 MiB
  uint32_t vcpus = 1;
  CpuProfile cpu_profile = CpuProfile::kHost;
  Paravirt paravirt = Paravirt::kKvm;
};

// In the order in which they must go: the board first.
struct PcVm {
  std::unique_ptr<Vm> vm;
  std::unique_ptr<InterruptBus> bus;
  std::unique_ptr<PcBoard> board;

  RunningVm running() const { return {.vm = vm.get(), .board = board.get()}; }
};

// `engine` outlives it.
[[nodiscard]] Result<PcVm> make_pc_vm(const System& system, const PcVmSetup& setup, const BootImage& image,
                                      Engine& engine, Outlets outlets);

}  // namespace vmm
