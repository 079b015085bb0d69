// The tables of the MultiProcessor Specification 1.4, which systems older than ACPI read: floating pointer
// and configuration table. Pure.
#pragma once

#include <cstdint>

#include "vmm/kvm/memory.h"
#include "vmm/result.h"

namespace vmm {

struct MpRequest {
  uint32_t vcpus = 1;  // those above 255 have no place in it and are left out
  uint8_t ioapic_id = 0;
};

inline constexpr uint32_t kMpPointerBytes = 16;

// The floating pointer goes to `start` (16-byte aligned), the table behind it; the end of what was written.
[[nodiscard]] Result<Gpa> write_mp_table(const MpRequest& request, const GuestMemory& memory, Gpa start);

}  // namespace vmm
