#include "vmm/platform/firmware.h"

#include <array>

#include "vmm/check.h"
#include "vmm/platform/acpi.h"
#include "vmm/platform/mp_table.h"

namespace vmm {
namespace {

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kHugePage = 2048 * kKiB;
constexpr Gpa kBiosDataArea{0x400};
constexpr uint16_t kBiosSegment = 0xf000;
constexpr uint16_t kReturnHandler = 0xff53;  // where PC BIOSes have their dummy handler
constexpr Gpa kResetVector{0xffff0};
constexpr Gpa kReserved4G{0xfec00000};

// Every interrupt of real mode returns at once; the reset vector halts for good.
Result<void> write_handlers(const GuestMemory& memory) {
  constexpr uint8_t kIret = 0xcf;
  constexpr std::array<uint8_t, 4> kHaltForGood{0xfa, 0xf4, 0xeb, 0xfd};  // cli; hlt; jmp to the hlt
  std::array<uint32_t, 256> vectors{};
  vectors.fill(uint32_t{kBiosSegment} << 16 | kReturnHandler);
  return memory.write(Gpa{0}, std::as_bytes(std::span(vectors)))
      .and_then([&] { return memory.store(Gpa{uint64_t{kBiosSegment} * 16 + kReturnHandler}, kIret); })
      .and_then([&] { return memory.store(kResetVector, kHaltForGood); });
}

Result<void> write_data_areas(const GuestMemory& memory) {
  const auto ebda_segment = static_cast<uint16_t>(kEbda.value / 16);
  const auto base_kib = static_cast<uint16_t>(kEbda.value / kKiB);
  const uint8_t ebda_kib = 1;
  return memory.store(kBiosDataArea, kCom1Port)
      .and_then([&] { return memory.store(kBiosDataArea + 2, kCom2Port); })
      .and_then([&] { return memory.store(kBiosDataArea + 0x0e, ebda_segment); })
      .and_then([&] { return memory.store(kBiosDataArea + 0x13, base_kib); })
      .and_then([&] { return memory.store(kEbda, ebda_kib); });
}

// Some systems look for RSDP and MP pointer in the EBDA only.
template <size_t kBytes>
Result<void> copy(const GuestMemory& memory, Gpa from, Gpa to) {
  const auto bytes = memory.load<std::array<uint8_t, kBytes>>(from);
  if (!bytes) return Failure(bytes.error());
  return memory.store(to, *bytes);
}

Result<void> write_descriptors(const GuestMemory& memory) {
  constexpr uint64_t kCode64 = 0x00af9b000000ffff;
  constexpr uint64_t kCode32 = 0x00cf9b000000ffff;
  constexpr uint64_t kData = 0x00cf93000000ffff;
  using Gdt = std::array<uint64_t, 4>;
  static_assert(sizeof(Gdt) == kBootGdtBytes && kBootCode == 2 * 8 && kBootData == 3 * 8);
  return memory.store(kBootGdt32, Gdt{0, kCode64, kCode32, kData}).and_then([&] {
    return memory.store(kBootGdt64, Gdt{0, kCode32, kCode64, kData});
  });
}

// Identity map of 4 GiB in 2 MiB pages: PML4, PDPT, four directories.
Result<void> write_page_tables(const GuestMemory& memory) {
  constexpr uint64_t kPage = 4 * kKiB;
  constexpr uint64_t kTable = 0x23;     // present, writable, accessed
  constexpr uint64_t kHugeLeaf = 0xe3;  // … dirty, large
  constexpr unsigned kDirectories = 4;
  std::vector<std::array<uint64_t, 512>> tables(2 + kDirectories);
  tables[0][0] = (kBootPageTables.value + kPage) | kTable;
  for (unsigned i = 0; i < kDirectories; ++i) {
    tables[1][i] = (kBootPageTables.value + (2 + i) * kPage) | kTable;
    for (unsigned j = 0; j < 512; ++j) tables[2 + i][j] = (i * 512 + j) * kHugePage | kHugeLeaf;
  }
  return memory.write(kBootPageTables, std::as_bytes(std::span(tables)));
}

}  // namespace

std::vector<MemoryRange> memory_map(uint64_t memory_bytes) {
  KVMUX_CHECK(memory_bytes >= kHugePage, "a PC has memory above 1 MiB");
  const uint64_t four_gib = uint64_t{4} << 30;
  return {{Gpa{0}, kEbda.value, MemoryType::kUsable},
          {kEbda, 0xa0000 - kEbda.value, MemoryType::kReserved},
          {kAcpiStart, kHighMemoryStart.value - kAcpiStart.value, MemoryType::kReserved},
          {kHighMemoryStart, memory_bytes - kHighMemoryStart.value, MemoryType::kUsable},
          {kReserved4G, four_gib - kReserved4G.value, MemoryType::kReserved}};
}

Result<void> write_firmware(const FirmwareRequest& request, const GuestMemory& memory) {
  constexpr uint64_t kMpCopy = 0x10;
  constexpr uint64_t kRsdpCopy = 0x20;
  return write_handlers(memory)
      .and_then([&] { return write_data_areas(memory); })
      .and_then([&] { return write_descriptors(memory); })
      .and_then([&] { return write_page_tables(memory); })
      .and_then([&]() -> Result<void> {
        const auto end = write_acpi({request.vcpus, request.ioapic_id}, memory, kAcpiStart, kMpStart);
        if (!end) return Failure(end.error());
        const auto mp_end = write_mp_table({request.vcpus, request.ioapic_id}, memory, kMpStart);
        if (!mp_end) return Failure(mp_end.error());
        KVMUX_CHECK(*mp_end <= kBootPageTables, "255 processors fit");
        return {};
      })
      .and_then([&] { return copy<kMpPointerBytes>(memory, kMpStart, kEbda + kMpCopy); })
      .and_then([&] { return copy<kRsdpBytes>(memory, kAcpiStart, kEbda + kRsdpCopy); });
}

}  // namespace vmm
