// Gates for guests of a few bytes of code (guest_code.h): an IDT in low memory, which the guest loads, and
// handlers 256, 512, … bytes behind its start. One thread, before the guest runs.
#pragma once

#include <doctest/doctest.h>

#include <array>

#include "vmm/kvm/memory.h"
#include "vmm/load/layout.h"

// What the guest begins with.
#define GUEST_LOAD_IDT "lidt 0x61000\n" GUEST_BELL_IN_RBX

namespace kvm_test {

// Low memory that the layout leaves alone.
inline constexpr vmm::Gpa kIdt{0x60000};
inline constexpr vmm::Gpa kIdtRegister{0x61000};

// SDM vol. 3, 6.14.1: a 64-bit interrupt gate to the n-th handler.
inline void set_gate(const vmm::GuestMemory& memory, unsigned vector, unsigned handler, unsigned ist = 0) {
  const uint64_t at = (vmm::kImageStart + 256 * handler).value;
  const std::array<uint64_t, 2> gate = {(at & 0xffff) | uint64_t{KVMUX_SEL_KERNEL_CODE} << 16 |
                                            uint64_t{ist} << 32 | uint64_t{0x8e} << 40 |
                                            (at >> 16 & 0xffff) << 48,
                                        at >> 32};
  REQUIRE(memory.store(kIdt + vector * sizeof(gate), gate));
}

inline void set_idt_register(const vmm::GuestMemory& memory) {
  REQUIRE(memory.store(kIdtRegister, uint16_t{0xfff}));
  REQUIRE(memory.store(kIdtRegister + 2, kIdt.value));
}

}  // namespace kvm_test
