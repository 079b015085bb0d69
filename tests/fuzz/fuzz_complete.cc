// Instruction completion and page walks on arbitrary instructions, registers and page tables: no crash, no
// access outside of the guest, and either the instruction is done, or it raised an exception, or nothing
// changed.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tests/fuzz/input.h"
#include "vmm/check.h"
#include "vmm/complete/complete.h"

namespace {

constexpr uint64_t kMemory = 64 * 1024;

const vmm::GuestMemory& guest() {
  static const vmm::GuestMemory memory = vmm::GuestMemory::allocate(kMemory, vmm::Prefault::kNo).value();
  return memory;
}

// Mostly values that lead somewhere: small addresses, the modes' bits.
vmm::InstructionState make_state(fuzz::Input& in) {
  vmm::InstructionState s;
  s.regs.rip = in.take<uint16_t>();
  s.regs.rsi = in.take<uint32_t>();
  s.regs.rdi = in.take<uint8_t>() != 0 ? in.take<uint64_t>() : in.take<uint16_t>();
  s.regs.rsp = in.take<uint64_t>();
  s.regs.rax = in.take<uint8_t>();
  s.regs.rdx = in.take<uint8_t>();
  s.regs.rflags = in.take<uint32_t>();
  s.sregs.gs.base = in.take<uint32_t>();
  s.sregs.cr0 = uint64_t{in.take<uint32_t>()};
  s.sregs.cr3 = in.take<uint16_t>();
  s.sregs.cr4 = in.take<uint32_t>();
  s.sregs.efer = in.take<uint16_t>();
  const uint8_t cs = in.take<uint8_t>();
  s.sregs.cs.l = cs & 1;
  s.sregs.cs.db = cs >> 1 & 1;
  s.cpl = cs >> 2 & 3;
  s.x87_status = in.take<uint8_t>();
  return s;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input in(data, size);
  vmm::InstructionState s = make_state(in);
  uint8_t bytes[15];
  const size_t length = in.take<uint8_t>() % 16u;
  for (uint8_t& byte : bytes) byte = in.take<uint8_t>();
  // What is left is the beginning of memory, page tables among it, repeated.
  static_cast<void>(guest().fill_zero(vmm::Gpa{0}, kMemory));
  for (uint64_t at = 0; !in.empty() && at < kMemory; at += 8) {
    static_cast<void>(guest().store(vmm::Gpa{at}, in.take<uint64_t>()));
  }
  const vmm::InstructionState before = s;
  const auto done = vmm::complete_instruction(std::span(bytes).first(length), s, guest());
  if (done) {
    KVMUX_CHECK(s.regs.rip != before.regs.rip || s.events.exception.injected != 0, "done, or an exception");
  } else {
    KVMUX_CHECK(std::memcmp(&s.regs, &before.regs, sizeof(s.regs)) == 0, "what failed changed nothing");
    KVMUX_CHECK(!done.error().empty(), "and is described");
  }
  return 0;
}
