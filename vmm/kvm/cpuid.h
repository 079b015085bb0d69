// The CPUID that a vCPU sees: what KVM supports, minus what this VMM does not offer, plus the topology. Pure
// functions, any thread.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <span>
#include <vector>

#include "vmm/ids.h"

namespace vmm {

enum class CpuProfile : uint8_t {
  kHost,     // all that KVM supports here
  kMinimal,  // x86-64 baseline plus SSE4: no XSAVE, AVX, cmpxchg16b and nothing else that KVM's emulator may
             // lack
};

struct CpuidOptions {
  CpuProfile profile = CpuProfile::kHost;
  uint32_t vcpu_count = 1;
  bool tsc_deadline = true;  // the LAPIC in use has a TSC-deadline timer
};

// One package, one thread a core, APIC id = index. KVM's paravirtual leaves are left out: kvm-clock and its
// kin assume a LAPIC inside KVM.
[[nodiscard]] std::vector<kvm_cpuid_entry2> vcpu_cpuid(std::span<const kvm_cpuid_entry2> supported,
                                                       VcpuIndex index, const CpuidOptions& options);

}  // namespace vmm
