// Completed instructions without a memory operand of their own: traps, software interrupts, register reads;
// and cache line hints. In 64-bit mode at CPL 0 with paging off, unless said otherwise.
#include <doctest/doctest.h>

#include <vector>

#include "vmm/complete/complete.h"

using vmm::GuestMemory;
using vmm::InstructionState;

namespace {

constexpr uint64_t kRip = 0x5000;
constexpr uint64_t kFlags = 0x10002;  // RF is set, which completing clears

struct Cpu {
  GuestMemory memory = GuestMemory::allocate(uint64_t{2} << 20, vmm::Prefault::kNo).value();
  InstructionState s;
  Cpu() {
    s.sregs.cr0 = 0x11;
    s.sregs.efer = 0xd00;
    s.sregs.cs.l = 1;
    s.regs.rip = kRip;
    s.regs.rflags = kFlags;
  }
  vmm::Completion run(std::vector<uint8_t> bytes) { return vmm::complete_instruction(bytes, s, memory); }
  // The exception queued, RIP's way; -1: none.
  int exception() const { return s.events.exception.injected != 0 ? s.events.exception.nr : -1; }
  uint64_t moved() const { return s.regs.rip - kRip; }
  void to_32_bit() {
    s.sregs.efer = 0;
    s.sregs.cs.l = 0;
    s.sregs.cs.db = 1;
  }
};

}  // namespace

TEST_CASE("int n becomes a software interrupt behind the instruction") {
  for (const unsigned vector : {0u, 3u, 0x50u, 0xffu}) {
    CAPTURE(vector);
    Cpu cpu;
    cpu.s.events.interrupt.shadow = 1;
    REQUIRE(cpu.run({0xcd, static_cast<uint8_t>(vector)}));
    CHECK(cpu.moved() == 2);
    CHECK(cpu.exception() == -1);
    CHECK(cpu.s.events.interrupt.injected == 1);
    CHECK(cpu.s.events.interrupt.soft == 1);
    CHECK(cpu.s.events.interrupt.nr == vector);
    CHECK(cpu.s.events.interrupt.shadow == 0);
    CHECK(cpu.s.regs.rflags == 2);
  }
}

TEST_CASE("int n is left alone where a gate might forbid it, and beside an interrupt under way") {
  Cpu user;
  user.s.cpl = 3;
  CHECK(!user.run({0xcd, 0x50}));
  CHECK(user.moved() == 0);
  Cpu busy;
  busy.s.events.interrupt.injected = 1;
  busy.s.events.interrupt.nr = 0x31;
  CHECK(!busy.run({0xcd, 0x50}));
  CHECK(busy.s.events.interrupt.nr == 0x31);
}

TEST_CASE("int1 and int3 trap behind themselves, ud0, ud1 and ud2 fault where they stand") {
  struct Case {
    std::vector<uint8_t> bytes;
    int exception;
    uint64_t moved;
  };
  for (const Case& c : {Case{{0xf1}, 1, 1}, Case{{0xcc}, 3, 1}, Case{{0x0f, 0xff, 0xc0}, 6, 0},
                        Case{{0x0f, 0xb9, 0xc0}, 6, 0}, Case{{0x0f, 0x0b}, 6, 0}}) {
    Cpu cpu;
    REQUIRE(cpu.run(c.bytes));
    CHECK(cpu.exception() == c.exception);
    CHECK(cpu.moved() == c.moved);
    CHECK(cpu.s.events.interrupt.injected == 0);
  }
}

TEST_CASE("into traps on overflow only, and does not exist in 64-bit mode") {
  for (const bool overflow : {false, true}) {
    Cpu cpu;
    cpu.to_32_bit();
    if (overflow) cpu.s.regs.rflags |= 1u << 11;
    REQUIRE(cpu.run({0xce}));
    CHECK(cpu.exception() == (overflow ? 4 : -1));
    CHECK(cpu.moved() == 1);
  }
  Cpu cpu;
  CHECK(!cpu.run({0xce}));
}

TEST_CASE("xgetbv reads XCR0, if the system has enabled it") {
  Cpu cpu;
  cpu.s.xcr0 = 0x2'0000'00e7;
  cpu.s.regs.rax = cpu.s.regs.rdx = ~uint64_t{0};
  REQUIRE(cpu.run({0x0f, 0x01, 0xd0}));
  CHECK(cpu.exception() == 6);
  CHECK(cpu.moved() == 0);
  cpu.s.events.exception = {};
  cpu.s.sregs.cr4 |= 1u << 18;
  cpu.s.regs.rcx = 2;
  REQUIRE(cpu.run({0x0f, 0x01, 0xd0}));
  CHECK(cpu.exception() == 13);
  cpu.s.regs.rcx = 0xffffffff00000000;  // ECX counts
  REQUIRE(cpu.run({0x0f, 0x01, 0xd0}));
  CHECK(cpu.exception() == -1);
  CHECK(cpu.s.regs.rax == 0xe7);
  CHECK(cpu.s.regs.rdx == 2);
  CHECK(cpu.moved() == 3);
}

TEST_CASE("rdtscp reads the counter and IA32_TSC_AUX, unless user mode may not") {
  Cpu cpu;
  cpu.s.tsc = 0x1'2345'6789;
  cpu.s.tsc_aux = 7;
  REQUIRE(cpu.run({0x0f, 0x01, 0xf9}));
  CHECK(cpu.s.regs.rax == 0x23456789);
  CHECK(cpu.s.regs.rdx == 1);
  CHECK(cpu.s.regs.rcx == 7);
  CHECK(cpu.moved() == 3);
  cpu.s.sregs.cr4 |= 4;
  cpu.s.cpl = 3;
  REQUIRE(cpu.run({0x0f, 0x01, 0xf9}));
  CHECK(cpu.exception() == 13);
}

TEST_CASE("fnstsw ax gives the status word, or faults while the FPU is another task's") {
  Cpu cpu;
  cpu.s.regs.rax = 0x1122334455667788;
  cpu.s.x87_status = 0x3800;
  REQUIRE(cpu.run({0xdf, 0xe0}));
  CHECK(cpu.s.regs.rax == 0x1122334455663800);
  CHECK(cpu.moved() == 2);
  cpu.s.sregs.cr0 |= 8;
  REQUIRE(cpu.run({0xdf, 0xe0}));
  CHECK(cpu.exception() == 7);
  CHECK(!cpu.run({0xdd, 0x3e}));  // fnstsw (%rsi): to memory
}

TEST_CASE("clwb, clflushopt and clflush do nothing to RAM, fault like loads, and are left alone elsewhere") {
  for (const std::vector<uint8_t>& bytes :
       {std::vector<uint8_t>{0x66, 0x0f, 0xae, 0x36}, {0x66, 0x0f, 0xae, 0x3e}, {0x0f, 0xae, 0x3e}}) {
    Cpu cpu;
    cpu.s.regs.rsi = 0x1003;
    REQUIRE(cpu.run(bytes));
    CHECK(cpu.exception() == -1);
    CHECK(cpu.moved() == bytes.size());
    Cpu wild;
    wild.s.regs.rsi = uint64_t{1} << 60;
    REQUIRE(wild.run(bytes));
    CHECK(wild.exception() == 13);
    CHECK(wild.moved() == 0);
    Cpu device;
    device.s.regs.rsi = 0xfee00000;
    CHECK(!device.run(bytes));
    Cpu faulting;
    faulting.s.sregs.cr0 |= uint64_t{1} << 31;  // paging by an empty table
    faulting.s.sregs.cr4 = 0x20;
    faulting.s.sregs.cr3 = 0x1000;
    REQUIRE(faulting.run(bytes));
    CHECK(faulting.exception() == 14);
    CHECK(faulting.s.events.exception.error_code == 0);
  }
}
