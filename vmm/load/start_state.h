// Register states in which guests of other formats than guest/abi.h begin: real mode, 32-bit protected mode,
// and 64-bit mode on the firmware's identity map. GDTs and page tables are the firmware's
// (platform/firmware.h).
//
// Each turns reset state into the state at the entry; what is not named (APIC base among it) stays as it is.
// Pure; any thread.
#pragma once

#include <linux/kvm.h>

#include <cstdint>

#include "vmm/kvm/memory.h"

namespace vmm {

enum class CpuMode : uint8_t { kReal, kProtected, kLong };

// General registers at the entry; all others are 0.
struct StartRegisters {
  uint64_t rax = 0;
  uint64_t rbx = 0;
  uint64_t rdx = 0;
  uint64_t rsi = 0;
  uint64_t rdi = 0;
  uint64_t rsp = 0;
};

struct StartState {
  CpuMode mode = CpuMode::kProtected;
  Gpa entry;  // real mode: below 1 MiB
  StartRegisters registers;
};

// Interrupts are off in all modes. Real mode: CS:IP is 0:entry below 64 KiB, entry/16:entry%16 above; the
// other segments are 0. Protected and long mode: flat segments, CS 10H and the others 18H.
void enter_start_state(const StartState& start, kvm_regs& regs, kvm_sregs& sregs);

}  // namespace vmm
