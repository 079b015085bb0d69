#include "vmm/run/steal_time.h"

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using sched::Nanos;
using vmm::Gpa;
using vmm::GuestMemory;
using vmm::StealTime;

namespace {

constexpr uint64_t kMemory = uint64_t{2} << 20;
constexpr uint64_t kArea = 0x3040;

struct Vcpu {
  GuestMemory memory = GuestMemory::allocate(kMemory, vmm::Prefault::kNo).value();
  StealTime steal{memory};

  kvm_steal_time area() const { return memory.load<kvm_steal_time>(Gpa{kArea}).value(); }
};

}  // namespace

TEST_CASE("a guest reads how long it was off, from when it asked") {
  Vcpu vcpu;
  vcpu.steal.runs(5ms);  // nobody asked
  CHECK(vcpu.area().steal == 0);
  CHECK(vcpu.area().version == 0);
  REQUIRE(vcpu.steal.write_msr(kArea | KVM_MSR_ENABLED));
  CHECK(vcpu.steal.msr() == (kArea | KVM_MSR_ENABLED));
  vcpu.steal.runs(7ms);
  CHECK(vcpu.area().steal == 0);
  vcpu.steal.runs(10ms);
  CHECK(vcpu.area().steal == 3'000'000);
  CHECK(vcpu.area().version == 4);
  CHECK(vcpu.area().flags == 0);
}

TEST_CASE("preempted: from when a vCPU leaves its worker until it is back") {
  Vcpu vcpu;
  REQUIRE(vcpu.steal.write_msr(kArea | KVM_MSR_ENABLED));
  vcpu.steal.runs(0ms);
  CHECK(vcpu.area().preempted == 0);
  vcpu.steal.leaves();
  CHECK(vcpu.area().preempted == KVM_VCPU_PREEMPTED);
  vcpu.steal.runs(1ms);
  CHECK(vcpu.area().preempted == 0);
}

TEST_CASE("a version that the guest left odd becomes even") {
  Vcpu vcpu;
  REQUIRE(vcpu.memory.store(Gpa{kArea + offsetof(kvm_steal_time, version)}, uint32_t{7}));
  REQUIRE(vcpu.steal.write_msr(kArea | KVM_MSR_ENABLED));
  vcpu.steal.runs(0ms);
  CHECK(vcpu.area().version == 8);
}

TEST_CASE("reserved bits and places outside of RAM are faults, and change nothing") {
  Vcpu vcpu;
  REQUIRE(vcpu.steal.write_msr(kArea | KVM_MSR_ENABLED));
  vcpu.steal.runs(0ms);
  for (const uint64_t bad : {kArea | KVM_MSR_ENABLED | 0x2, kArea | KVM_MSR_ENABLED | 0x20, uint64_t{0x10},
                             kMemory | KVM_MSR_ENABLED, ~uint64_t{0x3e}}) {
    CAPTURE(bad);
    CHECK(!vcpu.steal.write_msr(bad));
    CHECK(vcpu.steal.msr() == (kArea | KVM_MSR_ENABLED));
  }
  vcpu.steal.runs(2ms);
  CHECK(vcpu.area().steal == 2'000'000);
  CHECK(vcpu.steal.write_msr((kMemory - 64) | KVM_MSR_ENABLED));  // the last that fits
}

TEST_CASE("switched off, by the guest or by INIT, nothing is written") {
  Vcpu vcpu;
  for (const bool by_init : {false, true}) {
    CAPTURE(by_init);
    REQUIRE(vcpu.steal.write_msr(kArea | KVM_MSR_ENABLED));
    vcpu.steal.runs(0ms);
    const uint32_t version = vcpu.area().version;
    if (by_init) {
      vcpu.steal.reset();
    } else {
      REQUIRE(vcpu.steal.write_msr(0));
    }
    CHECK(!vcpu.steal.enabled());
    CHECK(vcpu.steal.msr() == 0);
    vcpu.steal.runs(9ms);
    vcpu.steal.leaves();
    CHECK(vcpu.area().version == version);
    CHECK(vcpu.area().preempted == 0);
  }
}
