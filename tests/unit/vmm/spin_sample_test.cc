// Does a vCPU stand in a PAUSE loop?
#include "vmm/run/spin_sample.h"

#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "exit_rig.h"

using namespace vmm;
using exit_test::Rig;

namespace {

using Code = std::vector<uint8_t>;
constexpr uint64_t kCode = 0x2000;

// Paging off: linear is physical.
struct Sampled {
  Sampled() { rig.vcpu.kvm.mutable_sregs().cr0 = 1; }
  bool at(const Code& code, uint64_t offset) {
    std::vector<std::byte> nops(4096, std::byte{0x90});
    REQUIRE(memory.write(Gpa{kCode - 4096}, nops));
    REQUIRE(memory.write(Gpa{kCode}, nops));
    REQUIRE(memory.write(Gpa{kCode}, std::as_bytes(std::span(code))));
    rig.vcpu.kvm.mutable_regs().rip = kCode + offset;
    return in_pause_loop(rig.vcpu, memory);
  }
  Rig rig;
  GuestMemory memory = std::move(*GuestMemory::allocate(1 << 20));
};

// PAUSE; CMP [RDI], RSI; JNE +4; DEC RDX; JNZ back: as guests spin with a bound.
const Code kBounded{0xf3, 0x90, 0x48, 0x39, 0x37, 0x75, 0x05, 0x48, 0xff, 0xca, 0x75, 0xf4, 0xc3};
// JMP to the test; PAUSE; test: CMP [RDI], 0; near JNE to the PAUSE: as compilers lay out a while loop.
const Code kRotated{0xeb, 0x02, 0xf3, 0x90, 0x48, 0x83, 0x3f, 0x00, 0x0f, 0x85, 0xf4, 0xff, 0xff, 0xff, 0xc3};

}  // namespace

TEST_CASE("spin sample: each place in a PAUSE loop is one, what is before and behind is not") {
  Sampled sampled;
  for (const uint64_t at : {0, 2, 5, 7, 10}) {
    CAPTURE(at);
    CHECK(sampled.at(kBounded, at));
  }
  CHECK_FALSE(sampled.at(kBounded, 12));
  for (const uint64_t at : {2, 4, 8}) {
    CAPTURE(at);
    CHECK(sampled.at(kRotated, at));
  }
  CHECK_FALSE(sampled.at(kRotated, 14));
  CHECK(sampled.at({0xf3, 0x90, 0xeb, 0xfc}, 0));
  CHECK(sampled.at({0xf3, 0x90, 0xeb, 0xfc}, 2));
}

TEST_CASE("spin sample: code that merely holds a PAUSE is no loop, nor is a loop without one") {
  Sampled sampled;
  const Code once{0xf3, 0x90, 0x48, 0x39, 0x37, 0xc3};
  for (const uint64_t at : {0, 2, 5}) CHECK_FALSE(sampled.at(once, at));
  CHECK_FALSE(sampled.at({0xf3, 0x90, 0x75, 0x10, 0xc3}, 0));             // the branch goes forward
  CHECK_FALSE(sampled.at({0x48, 0xff, 0xc9, 0x75, 0xfb, 0xf3, 0x90}, 0));  // DEC; JNZ, then a PAUSE
}

TEST_CASE("spin sample: RIP is looked up in the guest's page tables; without a page there is no loop") {
  Sampled sampled;
  REQUIRE(sampled.at(kBounded, 0));
  constexpr uint64_t kLinear = 0xffffffff81000000;
  constexpr uint64_t kTables = 0x10000;
  const auto entry = [&](uint64_t level, uint64_t to) {
    const uint64_t index = kLinear >> (12 + 9 * level) & 511;
    const uint64_t value = to | 0x23;  // present, writable, accessed
    REQUIRE(sampled.memory.write(Gpa{kTables + (3 - level) * 4096 + index * 8}, std::as_bytes(std::span(&value, 1))));
  };
  for (uint64_t level = 3; level > 0; --level) entry(level, kTables + (4 - level) * 4096);
  entry(0, kCode);
  kvm_sregs& sregs = sampled.rig.vcpu.kvm.mutable_sregs();
  sregs.cr0 = 0x80000001;
  sregs.cr3 = kTables;
  sregs.cr4 = 0x20;
  sregs.efer = 0x500;
  sregs.cs.l = 1;
  sregs.ss.dpl = 0;
  sampled.rig.vcpu.kvm.mutable_regs().rip = kLinear + 5;
  CHECK(in_pause_loop(sampled.rig.vcpu, sampled.memory));
  sampled.rig.vcpu.kvm.mutable_regs().rip = kLinear + 4096;
  CHECK_FALSE(in_pause_loop(sampled.rig.vcpu, sampled.memory));
}
