// Instructions that only transfer control through the IDT: int3, int n, int1, into, ud0, ud1 (SDM vol. 2 and
// vol. 3, Sources of Interrupts; Exception Classifications). And what all completed instructions share:
// retiring and raising. Pure; the holder of the vCPU's lease.
#pragma once

#include <optional>

#include "vmm/complete/complete.h"
#include "vmm/complete/decode.h"

namespace vmm {

enum Exception : uint8_t {
  kDebug = 1,
  kBreakpoint = 3,
  kOverflow = 4,
  kInvalidOpcode = 6,
  kNoMath = 7,
  kStackFault = 12,
  kGeneralProtection = 13,
  kPageFaultException = 14,
  kMathError = 16,
};

// The instruction raises this instead of completing: a fault, so RIP stays.
void raise(InstructionState& s, Exception nr, std::optional<uint32_t> error_code = std::nullopt);
// The instruction is done.
void retire(InstructionState& s, unsigned length);

// False: not one of these, or not one that can be completed (nothing has changed).
bool complete_trap(const Decoded& decoded, InstructionState& s);

}  // namespace vmm
