#include "vmm/kvm/cpuid.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <string>

using vmm::CpuidOptions;
using vmm::CpuProfile;
using vmm::vcpu_cpuid;
using vmm::VcpuIndex;

namespace {

kvm_cpuid_entry2 leaf(uint32_t function, uint32_t index, uint32_t all) {
  kvm_cpuid_entry2 e{};
  e.function = function;
  e.index = index;
  e.eax = e.ebx = e.ecx = e.edx = all;
  return e;
}

// A host that supports everything.
std::vector<kvm_cpuid_entry2> rich_host() {
  return {leaf(0x0, 0, 0x1f),       leaf(0x1, 0, ~0u),        leaf(0x4, 0, 0x21),
          leaf(0x4, 3, 0x63),       leaf(0x7, 0, ~0u),        leaf(0xb, 0, ~0u),
          leaf(0xd, 0, ~0u),        leaf(0x1f, 0, ~0u),       leaf(0x40000000, 0, ~0u),
          leaf(0x40000001, 0, ~0u), leaf(0x80000001, 0, ~0u), leaf(0x80000008, 0, ~0u),
          leaf(0x8000001e, 0, ~0u)};
}

class Cpuid {
 public:
  Cpuid(uint32_t index, const CpuidOptions& options)
      : entries_(vcpu_cpuid(rich_host(), VcpuIndex{index}, options)) {}
  [[nodiscard]] kvm_cpuid_entry2 at(uint32_t function, uint32_t index = 0) const {
    const auto it = std::ranges::find_if(
        entries_, [&](const auto& e) { return e.function == function && e.index == index; });
    return it == entries_.end() ? kvm_cpuid_entry2{} : *it;
  }
  [[nodiscard]] bool has(uint32_t function) const {
    return std::ranges::any_of(entries_, [&](const auto& e) { return e.function == function; });
  }

 private:
  std::vector<kvm_cpuid_entry2> entries_;
};

bool bit(uint32_t value, unsigned n) { return (value >> n & 1) != 0; }

}  // namespace

TEST_CASE("every place that tells the APIC id tells the vCPU's index") {
  const Cpuid cpu(5, {.vcpu_count = 6});
  CHECK((cpu.at(0x1).ebx >> 24) == 5);
  for (uint32_t level = 0; level < 3; ++level) CHECK(cpu.at(0xb, level).edx == 5);
  CHECK(cpu.at(0x8000001e).eax == 5);
}

TEST_CASE("ids beyond 8 bits are whole in the x2APIC leaf") {
  const Cpuid cpu(1000, {.vcpu_count = 1024});
  CHECK((cpu.at(0x1).ebx >> 24) == (1000 & 0xff));
  CHECK((cpu.at(0x1).ebx >> 16 & 0xff) == 255);
  CHECK(cpu.at(0xb, 1).edx == 1000);
  CHECK(cpu.at(0xb, 1).eax == 10);
  CHECK(cpu.at(0xb, 1).ebx == 1024);
}

TEST_CASE("one package, one thread a core") {
  const Cpuid cpu(0, {.vcpu_count = 6});
  CHECK(cpu.at(0xb, 0).eax == 0);
  CHECK(cpu.at(0xb, 0).ebx == 1);
  CHECK(cpu.at(0xb, 0).ecx == 0x100);
  CHECK(cpu.at(0xb, 1).eax == 3);
  CHECK(cpu.at(0xb, 1).ecx == 0x201);
  CHECK(cpu.at(0xb, 2).ecx == 0x002);
  CHECK((cpu.at(0x4, 0).eax >> 14 & 0xfff) == 0);  // level 1: the core's own
  CHECK((cpu.at(0x4, 3).eax >> 14 & 0xfff) == 5);  // level 3: all share it
  CHECK((cpu.at(0x4, 3).eax >> 26) == 5);
  CHECK((cpu.at(0x80000008).ecx & 0xff) == 5);
  CHECK(bit(cpu.at(0x1).edx, 28));
  CHECK(!bit(Cpuid(0, {.vcpu_count = 1}).at(0x1).edx, 28));
}

TEST_CASE("the hypervisor is kvmux, without KVM's paravirtual leaves") {
  const Cpuid cpu(0, {});
  CHECK(bit(cpu.at(0x1).ecx, 31));
  CHECK(cpu.at(0x40000000).eax == 0x40000000);
  CHECK(!cpu.has(0x40000001));
  std::string name(12, ' ');
  const auto signature = cpu.at(0x40000000);
  std::memcpy(name.data(), &signature.ebx, 4);
  std::memcpy(name.data() + 4, &signature.ecx, 4);
  std::memcpy(name.data() + 8, &signature.edx, 4);
  CHECK(name == "kvmuxkvmux  ");
}

TEST_CASE("a guest that is to see KVM is offered its clock and steal time, and nothing that needs KVM's LAPIC") {
  const Cpuid cpu(0, {.paravirt = vmm::Paravirt::kKvm});
  const auto signature = cpu.at(0x40000000);
  CHECK(signature.eax == 0x40000001);
  CHECK(signature.ebx == 0x4b4d564b);  // KVMK
  CHECK(signature.ecx == 0x564b4d56);  // VMKV
  CHECK(signature.edx == 0x4d);        // M
  CHECK(cpu.at(0x40000001).eax == (1u << 0 | 1u << 3 | 1u << 5 | 1u << 24));
  CHECK(cpu.at(0x40000001).edx == 0);  // no hints
}

TEST_CASE("steal time that kvmux keeps is offered where KVM has none") {
  const std::vector<kvm_cpuid_entry2> bare{leaf(0x0, 0, 0x1f), leaf(0x40000001, 0, 0)};
  for (const bool own : {false, true}) {
    const auto entries = vcpu_cpuid(bare, VcpuIndex{0}, {.paravirt = vmm::Paravirt::kKvm, .own_steal_time = own});
    const auto features = std::ranges::find(entries, 0x40000001u, &kvm_cpuid_entry2::function);
    REQUIRE(features != entries.end());
    CHECK(features->eax == (own ? 1u << 5 : 0u));
  }
}

TEST_CASE("the TSC-deadline bit follows the LAPIC in use") {
  CHECK(bit(Cpuid(0, {.tsc_deadline = true}).at(0x1).ecx, 24));
  CHECK(!bit(Cpuid(0, {.tsc_deadline = false}).at(0x1).ecx, 24));
}

TEST_CASE("the minimal profile hides what emulators lack and keeps what the APIC needs") {
  const Cpuid cpu(0, {.profile = CpuProfile::kMinimal});
  const uint32_t ecx = cpu.at(0x1).ecx;
  for (const unsigned hidden : {1u, 12u, 13u, 17u, 23u, 25u, 26u, 27u, 28u, 29u, 30u}) {
    CAPTURE(hidden);
    CHECK(!bit(ecx, hidden));
  }
  for (const unsigned kept : {0u, 9u, 19u, 20u, 21u, 24u, 31u}) {
    CAPTURE(kept);
    CHECK(bit(ecx, kept));
  }
  CHECK(cpu.at(0x7).ebx == ((1u << 7) | (1u << 9)));
  CHECK(cpu.at(0x7).ecx == 0);
  CHECK(cpu.at(0xd).eax == 0);
  CHECK(!bit(cpu.at(0x80000001).edx, 27));
  CHECK(bit(cpu.at(0x80000001).edx, 29));  // long mode
}

TEST_CASE("the host profile takes nothing away") {
  const Cpuid cpu(0, {.vcpu_count = 2});
  CHECK(cpu.at(0x1).ecx == ~0u);
  CHECK(cpu.at(0x7).ebx == ~0u);
  CHECK(cpu.at(0xd).eax == ~0u);
}
