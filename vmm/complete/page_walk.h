// Translates a guest's linear address as its processor would: paging off, 32-bit, PAE, 4-level and 5-level
// paging, access rights, accessed and dirty bits (SDM vol. 3, Paging). For instructions completed in its
// place.
//
// Pure but for guest memory. The holder of the vCPU's lease; other vCPUs may change the tables meanwhile, as
// they may under a processor: each entry is read once, and its accessed and dirty bits are set by
// compare-exchange.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <tl/expected.hpp>

#include "vmm/kvm/memory.h"

namespace vmm {

enum class Access : uint8_t { kRead, kWrite, kExecute };

// What decides about a translation.
struct PagingState {
  uint64_t cr0 = 0;
  uint64_t cr3 = 0;
  uint64_t cr4 = 0;
  uint64_t efer = 0;
  uint64_t rflags = 0;
  unsigned cpl = 0;
};
PagingState paging_state(const kvm_sregs& sregs, const kvm_regs& regs, unsigned cpl);

struct PageFault {
  uint64_t address = 0;
  uint32_t error_code = 0;
  bool outside_memory = false;  // no fault of the guest's tables: they, or the page, lie outside of its RAM
};

// Guest-physical address of the byte at `linear`. Protection keys are not looked at.
[[nodiscard]] tl::expected<Gpa, PageFault> translate(const PagingState& state, uint64_t linear, Access access,
                                                     const GuestMemory& memory);

}  // namespace vmm
