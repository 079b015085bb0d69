#include "vmm/kvm/cpuid.h"

#include <asm/kvm_para.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>

namespace vmm {

namespace {

using Entries = std::vector<kvm_cpuid_entry2>;

constexpr uint32_t bit(unsigned n) { return uint32_t{1} << n; }

// Leaf 1, SDM vol. 2A, CPUID, tables for ECX and EDX.
constexpr uint32_t kX2apic = bit(21);
constexpr uint32_t kTscDeadline = bit(24);
constexpr uint32_t kHypervisor = bit(31);
constexpr uint32_t kApic = bit(9);
constexpr uint32_t kHyperThreading = bit(28);

// What CpuProfile::kMinimal keeps. SSE up to 4.1 (bits 0, 9, 19, 20), MOVBE (22); no PCLMUL, FMA, cmpxchg16b,
// PCID, POPCNT, AES, XSAVE, AVX, F16C, RDRAND.
constexpr uint32_t kMinimal1Ecx = bit(0) | bit(9) | bit(19) | bit(20) | kX2apic | bit(22) | kTscDeadline;
constexpr uint32_t kMinimal7Ebx = bit(7) | bit(9);    // SMEP, ERMS; no SMAP: CLAC and STAC
constexpr uint32_t kMinimalExt1Ecx = bit(0);          // LAHF and SAHF in 64-bit mode
constexpr uint32_t kMinimalExt1EdxWithout = bit(27);  // RDTSCP
constexpr uint32_t kTopologyLeaf = 0xb;
constexpr uint32_t kFirstHypervisorLeaf = 0x40000000;
constexpr uint32_t kLastHypervisorLeaf = 0x400fffff;

void keep_minimal(kvm_cpuid_entry2& e) {
  switch (e.function) {
    case 0x1:
      e.ecx &= kMinimal1Ecx;
      break;
    case 0x7:
      e.eax = e.ecx = e.edx = 0;  // no further subleaves
      e.ebx &= e.index == 0 ? kMinimal7Ebx : 0;
      break;
    case 0xd:  // XSAVE areas
      e.eax = e.ebx = e.ecx = e.edx = 0;
      break;
    case 0x80000001:
      e.ecx &= kMinimalExt1Ecx;
      e.edx &= ~kMinimalExt1EdxWithout;
      break;
    default:
      break;
  }
}

// Bits of the APIC id that tell the cores of the package apart.
uint32_t core_id_bits(uint32_t vcpus) { return static_cast<uint32_t>(std::bit_width(vcpus - 1)); }

void set_features(kvm_cpuid_entry2& e, uint32_t apic_id, const CpuidOptions& options) {
  const uint32_t ids = std::min(uint32_t{1} << core_id_bits(options.vcpu_count), uint32_t{255});
  e.ebx = (e.ebx & 0x0000ffffu) | ids << 16 | (apic_id & 0xffu) << 24;
  e.ecx |= kX2apic | kHypervisor;
  e.ecx = options.tsc_deadline ? e.ecx | kTscDeadline : e.ecx & ~kTscDeadline;
  e.edx |= kApic;
  e.edx = options.vcpu_count > 1 ? e.edx | kHyperThreading : e.edx & ~kHyperThreading;
}

// Leaf 4: caches of level 3 and up belong to the package, lower ones to a core. The fields hold count - 1 and
// have 12 and 6 bits.
void set_cache_sharing(kvm_cpuid_entry2& e, uint32_t vcpus) {
  if ((e.eax & 0x1fu) == 0) return;
  const uint32_t level = e.eax >> 5 & 0x7u;
  const uint32_t sharing = level >= 3 ? std::min(vcpus - 1, 0xfffu) : 0;
  e.eax = (e.eax & 0x3fffu) | sharing << 14 | std::min(vcpus - 1, 0x3fu) << 26;
}

// AMD: number of cores in the package, and how many APIC id bits they take.
void set_amd_sizes(kvm_cpuid_entry2& e, uint32_t vcpus) {
  e.ecx = core_id_bits(vcpus) << 12 | std::min(vcpus - 1, 0xffu);
}

// AMD's own id leaf: core = APIC id, one thread a core, one node.
void set_amd_ids(kvm_cpuid_entry2& e, uint32_t apic_id) {
  e.eax = apic_id;
  e.ebx = apic_id & 0xffu;
  e.ecx = 0;
}

bool replaced(const kvm_cpuid_entry2& e) {
  return e.function == kTopologyLeaf || e.function == 0x1f ||
         (e.function >= kFirstHypervisorLeaf && e.function <= kLastHypervisorLeaf);
}

kvm_cpuid_entry2 topology_level(uint32_t index, uint32_t shift, uint32_t threads, uint32_t type,
                                uint32_t id) {
  kvm_cpuid_entry2 e{};
  e.function = kTopologyLeaf;
  e.index = index;
  e.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
  e.eax = shift;
  e.ebx = threads;
  e.ecx = index | type << 8;
  e.edx = id;
  return e;
}

// Leaf 0xB (SDM vol. 2A): level 0 is SMT with one thread, level 1 the cores, level 2 ends the list.
void add_topology(Entries& out, uint32_t apic_id, uint32_t vcpus) {
  constexpr uint32_t kNone = 0;
  constexpr uint32_t kSmt = 1;
  constexpr uint32_t kCore = 2;
  out.push_back(topology_level(0, 0, 1, kSmt, apic_id));
  out.push_back(topology_level(1, core_id_bits(vcpus), vcpus, kCore, apic_id));
  out.push_back(topology_level(2, 0, 0, kNone, apic_id));
}

// The hypervisor's signature, by convention in the first hypervisor leaf, which also says which is the last one.
void add_signature(Entries& out, std::string_view name, uint32_t last_leaf) {
  kvm_cpuid_entry2 e{};
  e.function = kFirstHypervisorLeaf;
  e.eax = last_leaf;
  std::memcpy(&e.ebx, name.data(), 4);
  std::memcpy(&e.ecx, name.data() + 4, 4);
  std::memcpy(&e.edx, name.data() + 8, 4);
  out.push_back(e);
}

uint32_t features_of(std::span<const kvm_cpuid_entry2> supported) {
  const auto leaf = std::ranges::find(supported, uint32_t{KVM_CPUID_FEATURES}, &kvm_cpuid_entry2::function);
  return leaf == supported.end() ? 0 : leaf->eax;
}

void add_hypervisor(Entries& out, std::span<const kvm_cpuid_entry2> supported, const CpuidOptions& options) {
  if (options.paravirt == Paravirt::kNone) {
    add_signature(out, "kvmuxkvmux  ", kFirstHypervisorLeaf);
    return;
  }
  add_signature(out, std::string_view(KVM_SIGNATURE, 12), KVM_CPUID_FEATURES);
  constexpr uint32_t kClock =
      bit(KVM_FEATURE_CLOCKSOURCE) | bit(KVM_FEATURE_CLOCKSOURCE2) | bit(KVM_FEATURE_CLOCKSOURCE_STABLE_BIT);
  constexpr uint32_t kSteal = bit(KVM_FEATURE_STEAL_TIME);
  kvm_cpuid_entry2 e{};
  e.function = KVM_CPUID_FEATURES;
  e.eax = (features_of(supported) & (kClock | kSteal)) | (options.own_steal_time ? kSteal : 0);
  out.push_back(e);
}

}  // namespace

std::vector<kvm_cpuid_entry2> vcpu_cpuid(std::span<const kvm_cpuid_entry2> supported, VcpuIndex index,
                                         const CpuidOptions& options) {
  const uint32_t apic_id = index_of(index);
  Entries out;
  for (kvm_cpuid_entry2 e : supported) {
    if (replaced(e)) continue;
    if (options.profile == CpuProfile::kMinimal) keep_minimal(e);
    switch (e.function) {
      case 0x0:
        e.eax = std::max(e.eax, kTopologyLeaf);  // x2APIC ids are told nowhere else
        break;
      case 0x1:
        set_features(e, apic_id, options);
        break;
      case 0x4:
        set_cache_sharing(e, options.vcpu_count);
        break;
      case 0x80000008:
        set_amd_sizes(e, options.vcpu_count);
        break;
      case 0x8000001e:
        set_amd_ids(e, apic_id);
        break;
      default:
        break;
    }
    out.push_back(e);
  }
  add_topology(out, apic_id, options.vcpu_count);
  add_hypervisor(out, supported, options);
  return out;
}

}  // namespace vmm
