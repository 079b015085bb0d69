// Instruction completion: where KVM gives up emulating an instruction (KVM_EXIT_INTERNAL_ERROR, suberror
// "emulation failure"), does in its place what the processor would have done. Known are int3, int n, int1
// (icebp), into, ud0 and ud1, cmpxchg16b, clwb and its kin, fwait, fnstsw, xgetbv, rdtscp, rdssp, clac and
// stac, which guests' kernels use and some hosts' KVM lacks; anything else is described, for the message that
// ends the VM.
//
// complete_emulation(): the holder of the vCPU's lease, right after such an exit. complete_instruction() is
// its part without KVM; other vCPUs may use the memory meanwhile.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <span>
#include <string>
#include <tl/expected.hpp>

#include "vmm/kvm/memory.h"
#include "vmm/kvm/vcpu.h"

namespace vmm {

// Nothing, or what could not be completed and where: "KVM cannot emulate 'xsaves [rdi]' (48 0f c7 2f) at RIP
// …".
using Completion = tl::expected<void, std::string>;

struct InstructionState {
  kvm_regs regs{};
  kvm_sregs sregs{};
  kvm_vcpu_events events{};
  unsigned cpl = 0;
  uint16_t x87_status = 0;  // the FPU's status word, for fwait and fnstsw
  uint64_t xcr0 = 0;        // for xgetbv
  uint64_t tsc = 0;         // the guest's, for rdtscp …
  uint64_t tsc_aux = 0;     // … with IA32_TSC_AUX
};

// Completing may also mean an exception or a software interrupt for the guest, queued in `events`. `state` is
// unchanged on failure.
[[nodiscard]] Completion complete_instruction(std::span<const uint8_t> bytes, InstructionState& state,
                                              const GuestMemory& memory);

[[nodiscard]] Completion complete_emulation(VcpuFd& vcpu, const GuestMemory& memory);

}  // namespace vmm
