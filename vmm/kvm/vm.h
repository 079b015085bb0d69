// A KVM virtual machine: creation with everything that must be set before the first vCPU, memory slots,
// vCPUs.
//
// Order: create → map_memory → create_vcpu for every vCPU → run. Not thread-safe; set-up is one thread's
// work. vCPUs may outlive this object (KVM keeps the VM until its last fd is closed), guest memory must
// outlive both.
#pragma once

#include <cstdint>
#include <vector>

#include "vmm/kvm/cpuid.h"
#include "vmm/kvm/memory.h"
#include "vmm/kvm/system.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/result.h"

namespace vmm {

// Where the local APICs live.
enum class LapicPlace : uint8_t {
  kUserSpace,  // IPIs, EOIs and HLT all exit to us: what an M:N scheduler needs
  kKernel,     // KVM_CAP_SPLIT_IRQCHIP: LAPIC in KVM, IOAPIC and PIC here; HLT blocks inside KVM_RUN
};

struct VmOptions {
  VmId id{};
  LapicPlace lapic = LapicPlace::kUserSpace;
  // In-kernel PAUSE-loop exits make the host scheduler yield between our workers, which is our own
  // scheduler's decision to take. Only the thread-per-vCPU baseline keeps them.
  bool kernel_pause_exits = false;
  uint32_t ioapic_pins = 24;  // routes that KVM reserves for our IOAPIC, kKernel only
  // Accesses to KVM's steal time MSR exit to us. kUserSpace only.
  bool own_steal_time = false;
};

class VmFd {
 public:
  // Fails with a host error that lists the missing capabilities if a required one is missing. `system` must
  // outlive the result.
  [[nodiscard]] static Result<VmFd> create(const System& system, const VmOptions& options);

  // Backs guest-physical memory from `at` with `memory`. Slots are numbered in the order of the calls.
  [[nodiscard]] Result<void> map_memory(const GuestMemory& memory, Gpa at = {});
  [[nodiscard]] Result<VcpuFd> create_vcpu(VcpuIndex index, const CpuidOptions& cpuid);

  // True if an instruction that KVM cannot emulate exits without a queued #UD, so that it can be completed
  // here.
  [[nodiscard]] bool reports_emulation_failures() const { return emulation_failures_; }
  [[nodiscard]] const VmOptions& options() const { return options_; }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  VmFd(const System& system, const VmOptions& options) : system_(&system), options_(options) {}
  Result<void> reserve_pages() const;
  Result<void> enable(int capability, uint64_t argument, const char* name) const;
  Result<void> set_up_exits();
  Result<void> place_lapic() const;
  Result<void> filter_msrs() const;

  const System* system_;
  VmOptions options_;
  UniqueFd fd_;
  uint32_t slots_ = 0;
  bool emulation_failures_ = false;
};

}  // namespace vmm
