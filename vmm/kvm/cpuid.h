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

// Which hypervisor the guest is told of.
enum class Paravirt : uint8_t {
  kNone,  // kvmux, which offers nothing
  kKvm,   // KVM, of whose features those are offered that need no LAPIC inside KVM: its clock and steal time
};

struct CpuidOptions {
  CpuProfile profile = CpuProfile::kHost;
  uint32_t vcpu_count = 1;
  bool tsc_deadline = true;  // the LAPIC in use has a TSC-deadline timer
  Paravirt paravirt = Paravirt::kNone;
  bool own_steal_time = false;  // kvmux keeps it (vmm/run/steal_time.h), whether or not KVM would
};

// One package, one thread a core, APIC id = index. What KVM offers beyond its clock and steal time (IPIs, end of
// interrupt, kicks and TLB flushes by hypercall, asynchronous page faults) goes to a LAPIC inside KVM and is left out.
[[nodiscard]] std::vector<kvm_cpuid_entry2> vcpu_cpuid(std::span<const kvm_cpuid_entry2> supported,
                                                       VcpuIndex index, const CpuidOptions& options);

}  // namespace vmm
