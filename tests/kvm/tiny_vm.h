// The smallest VM under guest/abi.h: a few bytes of code at 1 MiB, every vCPU started there. One thread.
#pragma once

#include <cerrno>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include "tests/kvm/guest_code.h"
#include "tests/kvm/require_kvm.h"
#include "vmm/kvm/vm.h"
#include "vmm/load/layout.h"
#include "vmm/load/long_mode.h"

namespace kvm_test {

struct TinyVm {
  vmm::LayoutPlan plan;
  vmm::GuestMemory memory;
  vmm::VmFd vm;
  std::vector<vmm::VcpuFd> vcpus;

  vmm::VcpuFd& vcpu() { return vcpus.front(); }
};

// Creates, loads and sets up; nothing runs yet.
inline vmm::Result<TinyVm> make_tiny_vm(const vmm::System& system, std::span<const uint8_t> code,
                                        uint32_t vcpu_count = 1, const vmm::VmOptions& options = {}) {
  const vmm::LayoutRequest request{vcpu_count, 0, vmm::kImageStart + code.size()};
  auto plan = vmm::plan_layout(request);
  if (!plan) return vmm::Failure(plan.error());
  auto memory = vmm::GuestMemory::allocate(plan->memory_bytes, vmm::Prefault::kNo);
  if (!memory) return vmm::Failure(memory.error());
  auto ok = vmm::write_tables(*plan, *memory);
  if (!ok) return vmm::Failure(ok.error());
  ok = memory->write(vmm::kImageStart, std::as_bytes(code));
  if (!ok) return vmm::Failure(ok.error());
  kvmux_boot_info info{};
  vmm::describe_layout(*plan, request.image_end, info);
  ok = memory->store(plan->boot_info(), info);
  if (!ok) return vmm::Failure(ok.error());
  auto vm = vmm::VmFd::create(system, options);
  if (!vm) return vmm::Failure(vm.error());
  ok = vm->map_memory(*memory);
  if (!ok) return vmm::Failure(ok.error());
  TinyVm tiny{*plan, std::move(*memory), std::move(*vm), {}};
  for (uint32_t i = 0; i < vcpu_count; ++i) {
    auto vcpu = tiny.vm.create_vcpu(vmm::VcpuIndex{i}, {.vcpu_count = vcpu_count});
    if (!vcpu) return vmm::Failure(vcpu.error());
    vmm::enter_long_mode(tiny.plan, vmm::VcpuIndex{i}, vmm::kImageStart, vcpu->mutable_regs(),
                         vcpu->mutable_sregs());
    tiny.vcpus.push_back(std::move(*vcpu));
  }
  return tiny;
}

// The doorbell store that the vCPU just made, or nothing.
struct Ring {
  uint64_t offset;
  uint64_t value;
};

inline std::optional<Ring> doorbell_store(const vmm::VcpuFd& vcpu) {
  const auto& area = vcpu.area();
  const bool store = area.exit_reason == KVM_EXIT_MMIO && area.mmio.is_write != 0 && area.mmio.len == 8;
  if (!store || area.mmio.phys_addr - vmm::kDoorbellPage.value >= KVMUX_BELL_SIZE) return std::nullopt;
  Ring ring{area.mmio.phys_addr - vmm::kDoorbellPage.value, 0};
  std::memcpy(&ring.value, area.mmio.data, 8);
  return ring;
}

// Runs until the next exit that is to be handled, through signals.
inline int run(vmm::VcpuFd& vcpu) {
  int status = 0;
  do {
    status = vcpu.run();
  } while (status == EINTR);
  return status;
}

// The value of the next doorbell store; the test fails on any other exit.
inline uint64_t next_ring(vmm::VcpuFd& vcpu) {
  REQUIRE(run(vcpu) == 0);
  const auto ring = doorbell_store(vcpu);
  const kvm_run& area = vcpu.area();
  const uint32_t suberror = area.exit_reason == KVM_EXIT_INTERNAL_ERROR ? area.internal.suberror : 0;
  REQUIRE_MESSAGE(ring.has_value(),
                  "exit reason " << area.exit_reason << " (suberror " << suberror << ") at RIP " << vcpu.rip());
  return ring->value;
}

}  // namespace kvm_test
