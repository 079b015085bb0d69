#include "vmm/platform/pc_vm.h"

#include <ctime>

#include "vmm/platform/firmware.h"
#include "vmm/platform/kvm_bus.h"
#include "vmm/platform/user_bus.h"
#include "vmm/sandbox/sandbox.h"

namespace vmm {
namespace {

// The bootstrap processor starts in the guest, all others wait for their SIPI; KVM's do that by themselves.
void set_start(Vm& vm, const StartState& start, bool lapics_in_kvm) {
  VcpuFd& bootstrap = vm.vcpu(VcpuIndex{0}).kvm;
  enter_start_state(start, bootstrap.mutable_regs(), bootstrap.mutable_sregs());
  if (lapics_in_kvm) return;
  for (uint32_t i = 1; i < vm.vcpu_count(); ++i) vm.vcpu(VcpuIndex{i}).waiting_for_sipi = true;
}

}  // namespace

Result<PcVm> make_pc_vm(const System& system, const PcVmSetup& setup, const BootImage& image, Engine& engine,
                        Outlets outlets) {
  const bool split = setup.options.lapic == LapicPlace::kKernel;
  PcVm pc;
  auto vm = Vm::create(system, setup.options, setup.memory_bytes, setup.first);
  if (!vm) return Failure(vm.error());
  pc.vm = std::move(*vm);
  const uint8_t ioapic_id = ioapic_id_for(setup.vcpus);
  if (auto ok = write_firmware({setup.vcpus, ioapic_id}, pc.vm->memory()); !ok) return Failure(ok.error());
  const auto start = sandbox::in_loader([&] { return load_boot_image(image, pc.vm->memory()); });
  if (!start) return Failure(start.error());
  if (auto ok = pc.vm->add_vcpus(setup.vcpus, setup.cpu_profile, setup.paravirt); !ok) {
    return Failure(ok.error());
  }
  set_start(*pc.vm, *start, split);
  if (split) {
    pc.bus = std::make_unique<KvmBus>(pc.vm->fd());
  } else {
    pc.bus = std::make_unique<UserBus>(*pc.vm, engine);
  }
  pc.board = std::make_unique<PcBoard>(*pc.vm, engine, *pc.bus,
                                       PcBoard::Setup{.ioapic_id = ioapic_id, .utc = std::time(nullptr)},
                                       std::move(outlets));
  pc.board->wire();
  return pc;
}

}  // namespace vmm
