// A VM of the run loop (vmm/run) whose guest is a few bytes of code (guest_code.h) that every vCPU starts at.
// For tests and benchmarks that want to know each of the guest's exits. One thread, before the machine
// starts.
#pragma once

#include <memory>
#include <span>

#include "vmm/load/long_mode.h"
#include "vmm/run/vm.h"

namespace kvm_test {

// VM 0 of its run; its vCPU 0 is the run's vCPU 0.
inline vmm::Result<std::unique_ptr<vmm::Vm>> make_code_vm(const vmm::System& system,
                                                          std::span<const uint8_t> code, uint32_t vcpus) {
  const vmm::Gpa image_end = vmm::kImageStart + code.size();
  const auto plan = vmm::plan_layout({vcpus, 0, image_end});
  if (!plan) return vmm::Failure(plan.error());
  auto vm = vmm::Vm::create(system, {}, plan->memory_bytes, sched::VcpuId{0});
  if (!vm) return vm;
  const vmm::GuestMemory& memory = (*vm)->memory();
  if (auto tables = vmm::write_tables(*plan, memory); !tables) return vmm::Failure(tables.error());
  if (auto written = memory.write(vmm::kImageStart, std::as_bytes(code)); !written)
    return vmm::Failure(written.error());
  kvmux_boot_info info{};
  vmm::describe_layout(*plan, image_end, info);
  if (auto stored = memory.store(plan->boot_info(), info); !stored) return vmm::Failure(stored.error());
  if (auto added = (*vm)->add_vcpus(vcpus, vmm::CpuProfile::kHost); !added)
    return vmm::Failure(added.error());
  for (uint32_t i = 0; i < vcpus; ++i) {
    vmm::VcpuFd& kvm = (*vm)->vcpu(vmm::VcpuIndex{i}).kvm;
    vmm::enter_long_mode(*plan, vmm::VcpuIndex{i}, vmm::kImageStart, kvm.mutable_regs(), kvm.mutable_sregs());
  }
  return vm;
}

}  // namespace kvm_test
