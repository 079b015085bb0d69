// Guest code written as assembly inside the host's test program: position-independent 64-bit code that is
// copied to 1 MiB and started there by every vCPU as guest/abi.h says (RDI = boot info, RSI = vCPU index, CPL
// 0).
//
//   GUEST_CODE(ring_once, "mov $0xfed80000, %eax\n mov %rsi, 0x10(%rax)\n hlt");
//   ... make_tiny_vm(system, ring_once())
#pragma once

#include <cstdint>
#include <span>

#include "guest/abi.h"

#define GUEST_CODE(name, text)                                                                            \
  asm(".pushsection .rodata\n.p2align 4\nkvm_guest_" #name "_begin:\n.code64\n" text "\nkvm_guest_" #name \
      "_end:\n.popsection");                                                                              \
  extern "C" const uint8_t kvm_guest_##name##_begin[];                                                    \
  extern "C" const uint8_t kvm_guest_##name##_end[];                                                      \
  static std::span<const uint8_t> name() { return {kvm_guest_##name##_begin, kvm_guest_##name##_end}; }   \
  static_assert(true)

// The same with an interrupt handler 256 bytes behind the start, where the host finds it.
#define GUEST_CODE_WITH_HANDLER(name, text, handler) \
  GUEST_CODE(name, text "\n.org kvm_guest_" #name "_begin + 256\n" handler)

// CPL 0 → CPL 3 on the same stack with RFLAGS `flags`; clobbers RAX. Goes on behind itself.
#define GUEST_TO_USER(flags)                                \
  "mov %rsp, %rax\n push $0x1b\n push %rax\n push $" #flags \
  "\n push $0x23\n lea 9f(%rip), %rax\n"                    \
  "push %rax\n iretq\n 9:\n"

// Doorbell page into RBX.
#define GUEST_BELL_IN_RBX "mov $0xfed80000, %ebx\n"

// The vCPU says that it runs, as a guest should (kvmux_vcpu_results). At the start; clobbers RAX and RSI.
#define GUEST_SAYS_RUNNING "mov 0x48(%rdi), %rax\n shl $12, %rsi\n movq $1, (%rax, %rsi)\n"
static_assert(offsetof(kvmux_boot_info, results) == 0x48);
