// The ACPI tables of the PC board (ACPI specification 6.4): RSDP, RSDT, XSDT, FADT with its FACS and DSDT,
// MADT. Pure.
#pragma once

#include <cstdint>

#include "vmm/kvm/memory.h"
#include "vmm/result.h"

namespace vmm {

// The fixed hardware that the FADT names; the board answers at these ports.
inline constexpr uint16_t kPmEventPort = 0x600;    // PM1a status, then enable: 2 bytes each
inline constexpr uint16_t kPmControlPort = 0x604;  // 2 bytes
inline constexpr uint16_t kPmTimerPort = 0x608;    // 4 bytes
inline constexpr uint64_t kPmTimerHz = 3579545;
inline constexpr uint16_t kResetPort = 0xcf9;
inline constexpr uint8_t kResetValue = 0x06;
inline constexpr uint8_t kSleepTypeOff = 5;  // SLP_TYP of \_S5
inline constexpr unsigned kSciIrq = 9;

struct AcpiRequest {
  uint32_t vcpus = 1;
  uint8_t ioapic_id = 0;
};

inline constexpr uint32_t kRsdpBytes = 36;

// Writes the RSDP at `start` (16-byte aligned) and the tables behind it; the end of what was written, which
// may not pass `limit`.
[[nodiscard]] Result<Gpa> write_acpi(const AcpiRequest& request, const GuestMemory& memory, Gpa start,
                                     Gpa limit);

}  // namespace vmm
