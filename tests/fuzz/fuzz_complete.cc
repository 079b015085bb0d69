// Instruction completion and page walks on arbitrary instructions, registers and page tables: no crash, no
// access outside of the guest, and either the instruction is done, or it raised an exception, or nothing
// changed.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "tests/fuzz/input.h"
#include "vmm/check.h"
#include "vmm/complete/complete.h"
#include "vmm/complete/decode.h"

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
  // Behind what older inputs hold.
  s.xcr0 = s.regs.rdi ^ s.regs.rsp;
  s.tsc = s.regs.rsp;
  s.tsc_aux = s.regs.rdi;
  s.regs.rcx = s.regs.rsi & 3;
  s.events.interrupt.injected = s.regs.rsp % 16 == 1;
  s.events.interrupt.shadow = static_cast<uint8_t>(s.regs.rdx & 3);
  return s;
}

// Most bytes are no instruction that is completed: a length of 16 or more names one that is.
std::vector<uint8_t> instruction(uint8_t choice, std::span<const uint8_t> bytes) {
  static const std::vector<uint8_t> kKnown[] = {
      {0xcd, 0x50},
      {0xcd, 0xff},
      {0xf1},
      {0xcc},
      {0xce},
      {0x0f, 0xff},
      {0x0f, 0xb9},
      {0x0f, 0x0b},
      {0x9b},
      {0xdf, 0xe0},
      {0x0f, 0x01},
      {0x0f, 0x01, 0xd0},
      {0x0f, 0x01, 0xf9},
      {0x0f, 0xae},
      {0x66, 0x0f, 0xae},
      {0xf0, 0x48, 0x0f, 0xc7},
      {0xf3, 0x48, 0x0f, 0x1e},
  };
  const auto length = choice % 16u;
  std::vector<uint8_t> all(bytes.begin(), bytes.begin() + length);
  if (choice < 16) return all;
  const auto& known = kKnown[choice / 16u % std::size(kKnown)];
  all.insert(all.begin(), known.begin(), known.end());
  all.resize(std::min<size_t>(all.size(), 15));
  return all;
}

// At most one event, in the form that its kind has.
void check_events(const vmm::InstructionState& before, const vmm::InstructionState& after) {
  const auto& interrupt = after.events.interrupt;
  const bool raised = after.events.exception.injected != 0;
  const bool soft = interrupt.injected != 0 && before.events.interrupt.injected == 0;
  KVMUX_CHECK(!(raised && soft), "one event at most");
  KVMUX_CHECK(!soft || (interrupt.soft != 0 && before.cpl == 0), "a software interrupt, of CPL 0");
  KVMUX_CHECK(!raised || after.events.exception.nr < 32, "an exception");
  if (before.events.interrupt.injected != 0) {
    KVMUX_CHECK(interrupt.injected != 0 && interrupt.nr == before.events.interrupt.nr,
                "what was under way stays");
  }
  const uint64_t moved = after.regs.rip - before.regs.rip;
  KVMUX_CHECK(moved <= 15 || vmm::operation_mode(before.sregs) != vmm::OperationMode::kLong,
              "no further than its length");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input in(data, size);
  vmm::InstructionState s = make_state(in);
  uint8_t bytes[15];
  const auto choice = in.take<uint8_t>();
  for (uint8_t& byte : bytes) byte = in.take<uint8_t>();
  // What is left is the beginning of memory, page tables among it, repeated.
  static_cast<void>(guest().fill_zero(vmm::Gpa{0}, kMemory));
  for (uint64_t at = 0; !in.empty() && at < kMemory; at += 8) {
    static_cast<void>(guest().store(vmm::Gpa{at}, in.take<uint64_t>()));
  }
  const vmm::InstructionState before = s;
  const auto done = vmm::complete_instruction(instruction(choice, bytes), s, guest());
  if (done) {
    KVMUX_CHECK(s.regs.rip != before.regs.rip || s.events.exception.injected != 0, "done, or an exception");
    check_events(before, s);
  } else {
    KVMUX_CHECK(std::memcmp(&s.regs, &before.regs, sizeof(s.regs)) == 0, "what failed changed nothing");
    KVMUX_CHECK(std::memcmp(&s.events, &before.events, sizeof(s.events)) == 0, "nor queued anything");
    KVMUX_CHECK(!done.error().empty(), "and is described");
  }
  return 0;
}
