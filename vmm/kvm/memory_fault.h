// KVM_EXIT_MEMORY_FAULT (Linux 6.8, KVM API 5): guest memory that KVM cannot map, which KVM_RUN reports
// beside its EFAULT or EHWPOISON. UAPI headers of older kernels lack it. Pure; whoever may look at the run
// area.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <optional>
#include <string>

#include "vmm/kvm/memory.h"

namespace vmm {

inline constexpr uint32_t kExitMemoryFault = 39;

struct MemoryFault {
  uint64_t flags = 0;  // bit 3: the access was to private memory
  Gpa address;
  uint64_t bytes = 0;
};

// Nothing: the last exit was another.
[[nodiscard]] std::optional<MemoryFault> memory_fault(const kvm_run& area);
// "KVM cannot map guest memory at 0x3000, 0x1000 bytes (flags 0x8)"
[[nodiscard]] std::string describe(const MemoryFault& fault);

}  // namespace vmm
