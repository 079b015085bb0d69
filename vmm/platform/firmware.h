// What a PC's firmware leaves in memory for the system it starts: interrupt vectors, BIOS data areas, the
// memory map, ACPI and MP tables, a GDT and identity page tables to start with.
//
//   0x00000  interrupt vectors, all of a handler that returns; 0x400 BIOS data area
//   0x90000  what a loader hands over (boot information, command line): loaders place it
//   0x9fc00  extended BIOS data area with copies of RSDP and MP pointer
//   0xe0000  ACPI: RSDP and tables;  0xf0000 MP tables
//   0xf8000  page tables for starts in 64-bit mode;  0xff000 GDTs;  0xffff0 reset vector: halts
//   1 MiB …  the guest's;  4 GiB - 32 MiB … devices
//
// Pure; set-up, one thread.
#pragma once

#include <cstdint>
#include <vector>

#include "vmm/kvm/memory.h"
#include "vmm/result.h"

namespace vmm {

inline constexpr Gpa kLowMemoryStart{0x500};  // the first byte that firmware does not use
inline constexpr Gpa kHandoverStart{0x90000};
inline constexpr Gpa kEbda{0x9fc00};
inline constexpr Gpa kAcpiStart{0xe0000};
inline constexpr Gpa kMpStart{0xf0000};
inline constexpr Gpa kBootPageTables{0xf8000};
inline constexpr Gpa kBootGdt32{0xff000};
inline constexpr Gpa kBootGdt64{0xff040};
inline constexpr Gpa kHighMemoryStart{0x100000};
inline constexpr Gpa kIoApicAddress{0xfec00000};
inline constexpr Gpa kLapicAddress{0xfee00000};
inline constexpr uint16_t kCom1Port = 0x3f8;
inline constexpr uint16_t kCom2Port = 0x2f8;

// Selectors in which guests start, as the Linux boot protocol asks for them: in kBootGdt32 10H is 32-bit
// code, in kBootGdt64 it is 64-bit code. 08H is the code of the other kind.
inline constexpr uint16_t kBootCode = 0x10;
inline constexpr uint16_t kBootData = 0x18;
inline constexpr uint16_t kBootGdtBytes = 32;

// One range of the map that INT 15H, E820H gives (ACPI specification, System Address Map Interfaces).
enum class MemoryType : uint32_t { kUsable = 1, kReserved = 2, kAcpi = 3 };
struct MemoryRange {
  Gpa start;
  uint64_t bytes = 0;
  MemoryType type = MemoryType::kUsable;
};

// In ascending order. `memory_bytes` at least 2 MiB.
std::vector<MemoryRange> memory_map(uint64_t memory_bytes);

struct FirmwareRequest {
  uint32_t vcpus = 1;
  uint8_t ioapic_id = 0;
};

// Writes all of it.
[[nodiscard]] Result<void> write_firmware(const FirmwareRequest& request, const GuestMemory& memory);

// An IOAPIC id that no local APIC has, as far as its 4 bits allow.
constexpr uint8_t ioapic_id_for(uint32_t vcpus) {
  return vcpus < 15 ? static_cast<uint8_t>(vcpus) : uint8_t{0};
}

}  // namespace vmm
