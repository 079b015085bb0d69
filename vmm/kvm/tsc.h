// The guest's time stamp counter when the guest writes it: IA32_TIME_STAMP_COUNTER and IA32_TSC_ADJUST (SDM
// vol. 3, Time-Stamp Counter Adjustment: either moves the other by as much). Writes to both exit, because a
// TSC deadline is compared with the counter: whoever keeps the deadline must know its offset.
//
// The holder of the vCPU's lease; the pure half from any thread.
#pragma once

#include <cstdint>

#include "vmm/kvm/vcpu.h"
#include "vmm/result.h"

namespace vmm {

inline constexpr uint32_t kMsrTsc = 0x10;        // SDM vol. 4: IA32_TIME_STAMP_COUNTER
inline constexpr uint32_t kMsrTscAdjust = 0x3b;  // IA32_TSC_ADJUST
constexpr bool is_tsc_msr(uint32_t msr) { return msr == kMsrTsc || msr == kMsrTscAdjust; }

// Both modulo 2^64.
struct TscSetting {
  uint64_t offset = 0;  // guest's − host's
  uint64_t adjust = 0;  // IA32_TSC_ADJUST

  friend bool operator==(const TscSetting&, const TscSetting&) = default;
};
// What a guest's write of `msr` makes of it, at an instant at which the host's counter is `host_tsc`.
[[nodiscard]] TscSetting after_tsc_write(const TscSetting& before, uint64_t host_tsc, uint32_t msr,
                                         uint64_t value);

// An MSR of the vCPU, as KVM has it.
[[nodiscard]] Result<uint64_t> get_msr(const VcpuFd& vcpu, uint32_t index);

// Does what the processor would have done; gives the new offset.
[[nodiscard]] Result<uint64_t> write_guest_tsc(const VcpuFd& vcpu, uint32_t msr, uint64_t value);

}  // namespace vmm
