// Page walks and completed instructions, against tables built by hand.
#include "vmm/complete/complete.h"

#include <doctest/doctest.h>

#include <vector>

#include "vmm/complete/page_walk.h"

using vmm::Access;
using vmm::Gpa;
using vmm::GuestMemory;
using vmm::InstructionState;
using vmm::translate;

namespace {

constexpr uint64_t kPresent = 1, kWritable = 2, kUser = 4, kAccessed = 0x20, kDirty = 0x40, kLarge = 0x80;
constexpr uint64_t kNoExecute = uint64_t{1} << 63;
constexpr uint64_t kPml4 = 0x1000, kPdpt = 0x2000, kDirectory = 0x3000, kTable = 0x4000;

// 4-level tables: page 5 of the address space leads to 0x9000, the second 2 MiB are one large page at 2 MiB.
struct Tables {
  GuestMemory memory = GuestMemory::allocate(uint64_t{4} << 20, vmm::Prefault::kNo).value();
  vmm::PagingState state{.cr0 = 0x80010011, .cr3 = kPml4, .cr4 = 0x20, .efer = 0xd00, .rflags = 2, .cpl = 0};

  Tables() {
    set(kPml4, kPdpt | kPresent | kWritable | kUser);
    set(kPdpt, kDirectory | kPresent | kWritable | kUser);
    set(kDirectory, kTable | kPresent | kWritable | kUser);
    set(kDirectory + 8, 0x200000 | kPresent | kWritable | kUser | kLarge);
    set(kTable + 5 * 8, 0x9000 | kPresent | kWritable | kUser);
  }
  void set(uint64_t at, uint64_t entry) { REQUIRE(memory.store(Gpa{at}, entry)); }
  uint64_t get(uint64_t at) const { return memory.load<uint64_t>(Gpa{at}).value(); }
  uint64_t walk(uint64_t linear, Access access = Access::kRead) {
    const auto at = translate(state, linear, access, memory);
    REQUIRE(at);
    return at->value;
  }
  uint32_t fault(uint64_t linear, Access access) {
    const auto at = translate(state, linear, access, memory);
    REQUIRE(!at);
    CHECK(!at.error().outside_memory);
    CHECK(at.error().address == linear);
    return at.error().error_code;
  }
};

// CPL 0 in 64-bit mode on those tables; RSI points to page 5.
struct Cpu : Tables {
  InstructionState s;
  Cpu() {
    s.sregs.cr0 = state.cr0;
    s.sregs.cr3 = state.cr3;
    s.sregs.cr4 = state.cr4;
    s.sregs.efer = state.efer;
    s.sregs.cs.l = 1;
    s.regs.rip = 0x5000;
    s.regs.rflags = 2;
    s.regs.rsi = 0x5100;
  }
  vmm::Completion run(std::vector<uint8_t> bytes) { return vmm::complete_instruction(bytes, s, memory); }
  std::vector<uint8_t> cmpxchg16b_rsi() const { return {0xf0, 0x48, 0x0f, 0xc7, 0x0e}; }
  void set_pair(uint64_t at, uint64_t low, uint64_t high) {
    set(at, low);
    set(at + 8, high);
  }
};

}  // namespace

TEST_CASE("4-level paging: small and large pages, accessed and dirty bits") {
  Tables t;
  CHECK(t.walk(0x5123) == 0x9123);
  CHECK(t.get(kTable + 5 * 8) == (0x9000 | kPresent | kWritable | kUser | kAccessed));
  CHECK((t.get(kPml4) & kAccessed) != 0);
  CHECK(t.walk(0x5123, Access::kWrite) == 0x9123);
  CHECK((t.get(kTable + 5 * 8) & kDirty) != 0);
  CHECK(t.walk(0x2abcde) == 0x2abcde);
}

TEST_CASE("access rights and error codes") {
  Tables t;
  CHECK(t.fault(0x6000, Access::kRead) == 0);
  CHECK(t.fault(0x6000, Access::kWrite) == 2);
  t.set(kTable + 5 * 8, 0x9000 | kPresent);
  CHECK(t.fault(0x5000, Access::kWrite) == 3);
  t.state.cr0 &= ~uint64_t{0x10000};
  CHECK(t.walk(0x5000, Access::kWrite) == 0x9000);  // CR0.WP off: the supervisor may
  t.state.cpl = 3;
  CHECK(t.fault(0x5000, Access::kRead) == 5);
  t.set(kTable + 5 * 8, 0x9000 | kPresent | kUser | kNoExecute);
  CHECK(t.walk(0x5000) == 0x9000);
  CHECK(t.fault(0x5000, Access::kWrite) == 7);
  CHECK(t.fault(0x5000, Access::kExecute) == 0x15);
  t.state.efer &= ~uint64_t{0x800};
  CHECK(t.fault(0x5000, Access::kRead) == 0xd);  // then the bit is reserved
}

TEST_CASE("SMEP and SMAP keep the supervisor off user pages") {
  Tables t;
  t.state.cr4 |= 1u << 20 | 1u << 21;
  CHECK(t.fault(0x5000, Access::kExecute) == 0x11);
  CHECK(t.fault(0x5000, Access::kRead) == 1);
  t.state.rflags |= 1u << 18;
  CHECK(t.walk(0x5000) == 0x9000);
}

TEST_CASE("32-bit and PAE paging") {
  Tables t;
  t.state.efer = 0;
  t.state.cr4 = 0x20;
  t.state.cr3 = 0x7fe0;  // PAE: 32-byte aligned
  t.set(0x7fe0, kDirectory | kPresent);
  CHECK(t.walk(0x5123) == 0x9123);
  CHECK(t.get(0x7fe0) == (kDirectory | kPresent));
  t.state.cr4 = 0x10;  // PSE
  t.state.cr3 = 0x8000;
  REQUIRE(t.memory.store(Gpa{0x8000}, uint32_t{0xa000 | 7}));
  REQUIRE(t.memory.store(Gpa{0x8004}, uint32_t{0x000000 | 0x87}));
  REQUIRE(t.memory.store(Gpa{0xa000 + 4 * 5}, uint32_t{0x9000 | 7}));
  CHECK(t.walk(0x5123) == 0x9123);
  CHECK(t.walk(0x412345) == 0x12345);
}

TEST_CASE("tables outside of memory are told apart from faults") {
  Tables t;
  t.state.cr3 = uint64_t{1} << 40;
  const auto at = translate(t.state, 0x5000, Access::kRead, t.memory);
  REQUIRE(!at);
  CHECK(at.error().outside_memory);
  t.state.cr0 = 0x11;
  CHECK(translate(t.state, 0x5000, Access::kRead, t.memory)->value == 0x5000);
}

TEST_CASE("int3 traps behind itself") {
  Cpu cpu;
  REQUIRE(cpu.run({0xcc}));
  CHECK(cpu.s.regs.rip == 0x5001);
  CHECK(cpu.s.events.exception.injected == 1);
  CHECK(cpu.s.events.exception.nr == 3);
  CHECK(cpu.s.events.exception.has_error_code == 0);
}

TEST_CASE("fwait goes on, or raises what the FPU wants") {
  Cpu cpu;
  REQUIRE(cpu.run({0x9b, 0x90}));
  CHECK(cpu.s.regs.rip == 0x5001);
  CHECK(cpu.s.events.exception.injected == 0);
  cpu.s.sregs.cr0 |= 2 | 8;
  REQUIRE(cpu.run({0x9b}));
  CHECK(cpu.s.events.exception.nr == 7);
  CHECK(cpu.s.regs.rip == 0x5001);
  cpu.s.sregs.cr0 = (cpu.s.sregs.cr0 & ~uint64_t{8}) | 0x20;
  cpu.s.x87_status = 0x80;
  REQUIRE(cpu.run({0x9b}));
  CHECK(cpu.s.events.exception.nr == 16);
}

TEST_CASE("rdssp does nothing without shadow stacks, and is left alone with them") {
  Cpu cpu;
  cpu.s.regs.rsi = 7;
  REQUIRE(cpu.run({0xf3, 0x48, 0x0f, 0x1e, 0xce}));  // rdsspq %rsi
  CHECK(cpu.s.regs.rip == 0x5005);
  CHECK(cpu.s.regs.rsi == 7);
  REQUIRE(cpu.run({0xf3, 0x0f, 0x1e, 0xce}));  // rdsspd %esi
  CHECK(cpu.s.regs.rip == 0x5009);
  cpu.s.sregs.cr4 |= 1u << 23;
  CHECK(!cpu.run({0xf3, 0x48, 0x0f, 0x1e, 0xce}));
  CHECK(cpu.s.regs.rip == 0x5009);
}

TEST_CASE("clac and stac change the flag, at CPL 0 only") {
  constexpr uint64_t kAccessCheck = 1u << 18;
  Cpu cpu;
  cpu.s.regs.rflags = 2;
  REQUIRE(cpu.run({0x0f, 0x01, 0xcb}));  // stac
  CHECK(cpu.s.regs.rflags == (2 | kAccessCheck));
  CHECK(cpu.s.regs.rip == 0x5003);
  REQUIRE(cpu.run({0x0f, 0x01, 0xca}));  // clac
  CHECK(cpu.s.regs.rflags == 2);
  CHECK(cpu.s.regs.rip == 0x5006);
  cpu.s.cpl = 3;
  REQUIRE(cpu.run({0x0f, 0x01, 0xcb}));
  CHECK(cpu.s.regs.rflags == 2);
  CHECK(cpu.s.regs.rip == 0x5006);
  CHECK(cpu.s.events.exception.nr == 6);
}

TEST_CASE("cmpxchg16b exchanges, or loads what is there") {
  Cpu cpu;
  cpu.set_pair(0x9100, 1, 2);
  cpu.s.regs.rax = 1;
  cpu.s.regs.rdx = 2;
  cpu.s.regs.rbx = 3;
  cpu.s.regs.rcx = 4;
  REQUIRE(cpu.run(cpu.cmpxchg16b_rsi()));
  CHECK(cpu.get(0x9100) == 3);
  CHECK(cpu.get(0x9108) == 4);
  CHECK((cpu.s.regs.rflags & 0x40) != 0);
  CHECK(cpu.s.regs.rip == 0x5005);
  REQUIRE(cpu.run(cpu.cmpxchg16b_rsi()));
  CHECK((cpu.s.regs.rflags & 0x40) == 0);
  CHECK(cpu.s.regs.rax == 3);
  CHECK(cpu.s.regs.rdx == 4);
}

TEST_CASE("cmpxchg16b: every way of addressing") {
  Cpu cpu;
  cpu.s.regs.rax = 7;
  cpu.s.regs.rbx = 8;
  cpu.s.regs.r13 = 0x5000;
  cpu.s.regs.rdi = 4;
  cpu.s.sregs.gs.base = 0x5000;
  struct Case {
    const char* what;
    std::vector<uint8_t> bytes;
    uint64_t at;
  };
  for (const Case& c :
       {Case{"rsi", {0x48, 0x0f, 0xc7, 0x0e}, 0x9100},
        Case{"rsi + disp8", {0x48, 0x0f, 0xc7, 0x4e, 0x10}, 0x9110},
        Case{"r13 + rdi * 8 + disp32", {0x49, 0x0f, 0xc7, 0x8c, 0xfd, 0x20, 0x01, 0x00, 0x00}, 0x9140},
        Case{"gs absolute", {0x65, 0x48, 0x0f, 0xc7, 0x0c, 0x25, 0x50, 0x01, 0, 0}, 0x9150},
        Case{"rip relative", {0x48, 0x0f, 0xc7, 0x0d, 0x58, 0x01, 0, 0}, 0x9160},
        Case{"32-bit address", {0x67, 0x48, 0x0f, 0xc7, 0x4e, 0x70}, 0x9170}}) {
    CAPTURE(c.what);
    cpu.s.regs.rip = 0x5000;
    cpu.s.regs.rax = 7;
    cpu.s.regs.rdx = 0;
    cpu.s.regs.rsi = c.bytes[0] == 0x67 ? 0xffffffff00005100 : 0x5100;
    cpu.set_pair(c.at, 7, 0);
    REQUIRE(cpu.run(c.bytes));
    CHECK(cpu.get(c.at) == 8);
    CHECK(cpu.s.regs.rip == 0x5000 + c.bytes.size());
  }
}

TEST_CASE("cmpxchg16b: faults leave RIP and memory alone") {
  Cpu cpu;
  cpu.s.regs.rsi = 0x5108;
  REQUIRE(cpu.run(cpu.cmpxchg16b_rsi()));
  CHECK(cpu.s.events.exception.nr == 13);
  CHECK(cpu.s.regs.rip == 0x5000);
  cpu.s.regs.rsi = 0x6000;
  REQUIRE(cpu.run(cpu.cmpxchg16b_rsi()));
  CHECK(cpu.s.events.exception.nr == 14);
  CHECK(cpu.s.events.exception.error_code == 2);
  CHECK(cpu.s.sregs.cr2 == 0x6000);
  cpu.s.regs.rsi = uint64_t{1} << 50;
  REQUIRE(cpu.run(cpu.cmpxchg16b_rsi()));
  CHECK(cpu.s.events.exception.nr == 13);
  cpu.s.regs.rsp = uint64_t{1} << 50;
  REQUIRE(cpu.run({0x48, 0x0f, 0xc7, 0x0c, 0x24}));
  CHECK(cpu.s.events.exception.nr == 12);
  CHECK(cpu.s.regs.rip == 0x5000);
}

TEST_CASE("cmpxchg16b outside of RAM cannot be completed") {
  Cpu cpu;
  cpu.set(kTable + 5 * 8, 0xfee00000 | kPresent | kWritable);
  const auto done = cpu.run(cpu.cmpxchg16b_rsi());
  REQUIRE(!done);
  CHECK(done.error().find("'lock cmpxchg16b") != std::string::npos);
}

TEST_CASE("what cannot be completed is described") {
  Cpu cpu;
  const auto done = cpu.run({0xc5, 0xfc, 0x58, 0xc1, 0x90});
  REQUIRE(!done);
  CHECK(done.error() ==
        "KVM cannot emulate 'vaddps ymm0, ymm0, ymm1' (c5 fc 58 c1) at RIP 0x5000, 64-bit mode, CPL 0");
  CHECK(cpu.s.regs.rip == 0x5000);
  CHECK(cpu.run({}).error().find("cannot be read") != std::string::npos);
  CHECK(cpu.run({0x0f}).error().find("'?' (0f)") != std::string::npos);
  cpu.s.sregs.cr0 = 0x10;
  CHECK(cpu.run({0x0f, 0x33}).error().find("'rdpmc' (0f 33) at RIP 0x5000, real mode") != std::string::npos);
}
