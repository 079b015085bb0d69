// Steal time as KVM tells it its paravirtual guests (MSR_KVM_STEAL_TIME): a structure in guest memory, one a vCPU,
// where the guest wants it. It says for how long the vCPU was runnable while others had the CPU, and whether it is off
// a CPU now. Kept by whoever schedules vCPUs: KVM itself would tell how long our worker waited, which is
// something else. Layout and rules: Linux, Documentation/virt/kvm/x86/msr.rst and UAPI asm/kvm_para.h. Unlike
// KVM's, a structure outside of RAM is refused.
//
// Lease holder only; the guest reads meanwhile, other vCPUs of it as well.
#pragma once

#include <asm/kvm_para.h>

#include <cstdint>
#include <optional>

#include "sched/base/types.h"
#include "vmm/kvm/memory.h"

namespace vmm {

class StealTime {
 public:
  // `memory` must outlive it.
  explicit StealTime(const GuestMemory& memory) : memory_(&memory) {}

  [[nodiscard]] uint64_t msr() const { return msr_; }
  // False: the write is a general-protection fault, and nothing has changed.
  [[nodiscard]] bool write_msr(uint64_t value);
  void reset() { *this = StealTime(*memory_); }  // by INIT

  // The guest has asked for it.
  [[nodiscard]] bool enabled() const { return area_ != nullptr; }
  // It is on a worker. `off`: all the time until now in which it was runnable and not executing; grows. What came
  // before the guest asked is not told.
  void runs(sched::Nanos off);
  // It is on no worker, runnable or halted: KVM says `preempted` of both.
  void leaves();

 private:
  const GuestMemory* memory_;
  uint64_t msr_ = 0;
  kvm_steal_time* area_ = nullptr;  // in guest memory
  std::optional<sched::Nanos> off_before_;
};

}  // namespace vmm
