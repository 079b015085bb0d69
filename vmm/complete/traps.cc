#include "vmm/complete/traps.h"

namespace vmm {
namespace {

constexpr uint64_t kOverflowFlag = 1u << 11;
constexpr uint64_t kResumeFlag = 1u << 16;

// Traps: RIP stands behind the instruction.
void trap(InstructionState& s, unsigned length, Exception nr) {
  retire(s, length);
  raise(s, nr);
}

// As a software interrupt, which KVM delivers whatever RFLAGS.IF says. From CPL 0 no gate's DPL can forbid
// it; at other levels the processor checks it first, and hosts that get here execute those levels by
// themselves.
bool complete_int(const Decoded& decoded, InstructionState& s) {
  const ZydisDecodedOperand& operand = decoded.operands[0];
  if (s.cpl != 0 || operand.type != ZYDIS_OPERAND_TYPE_IMMEDIATE || s.events.interrupt.injected != 0)
    return false;
  retire(s, decoded.instruction.length);
  s.events.interrupt.injected = 1;
  s.events.interrupt.nr = static_cast<uint8_t>(operand.imm.value.u);
  s.events.interrupt.soft = 1;
  return true;
}

}  // namespace

void raise(InstructionState& s, Exception nr, std::optional<uint32_t> error_code) {
  s.events.exception = {};
  s.events.exception.injected = 1;
  s.events.exception.nr = nr;
  s.events.exception.has_error_code = error_code ? 1 : 0;
  s.events.exception.error_code = error_code.value_or(0);
}

void retire(InstructionState& s, unsigned length) {
  s.regs.rip += length;
  if (operation_mode(s.sregs) != OperationMode::kLong) s.regs.rip &= 0xffffffff;
  s.regs.rflags &= ~kResumeFlag;
  s.events.exception = {};
  s.events.interrupt.shadow = 0;  // STI and MOV SS hold interrupts back for one instruction only
}

bool complete_trap(const Decoded& decoded, InstructionState& s) {
  const unsigned length = decoded.instruction.length;
  switch (decoded.instruction.mnemonic) {
    case ZYDIS_MNEMONIC_INT3:
      trap(s, length, kBreakpoint);
      return true;
    case ZYDIS_MNEMONIC_INT1:  // raises #DB without setting anything in DR6
      trap(s, length, kDebug);
      return true;
    case ZYDIS_MNEMONIC_INTO:
      if ((s.regs.rflags & kOverflowFlag) != 0) {
        trap(s, length, kOverflow);
      } else {
        retire(s, length);
      }
      return true;
    case ZYDIS_MNEMONIC_INT:
      return complete_int(decoded, s);
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
      raise(s, kInvalidOpcode);
      return true;
    default:
      return false;
  }
}

}  // namespace vmm
