// ELF64 loader: checks every field of an untrusted image, then copies its segments into guest memory.
//
// Accepted: little-endian x86-64 ET_EXEC, and ET_DYN that needs no interpreter and no relocation (then loaded
// at 1 MiB). Everything else is refused with a usage error that says what is wrong and where in the file.
// Order: parse_elf64() → plan_layout() (which wants image.end) → load_elf64(). Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "vmm/kvm/memory.h"
#include "vmm/result.h"

namespace vmm {

// Images start here or above: below are the VMM's tables (see long_mode.h).
inline constexpr Gpa kImageStart{uint64_t{1} << 20};
inline constexpr uint32_t kMaxProgramHeaders = 64;

struct ElfSegment {
  Gpa start;
  uint64_t file_offset = 0;
  uint64_t file_bytes = 0;
  uint64_t memory_bytes = 0;  // ≥ file_bytes; the rest is zeroed
  bool executable = false;
};

// A checked image: all file ranges lie inside the file, all address ranges are free of overflow and overlap,
// the entry lies in an executable segment.
struct ElfImage {
  std::vector<ElfSegment> segments;  // ascending, none empty
  Gpa entry;
  Gpa end;  // first address above the highest segment
};

[[nodiscard]] Result<ElfImage> parse_elf64(std::span<const std::byte> file);

// `file` is what `image` was parsed from. All segments must lie in [kImageStart, limit), limit being where
// the VMM's tables begin again.
[[nodiscard]] Result<void> load_elf64(std::span<const std::byte> file, const ElfImage& image,
                                      const GuestMemory& memory, Gpa limit);

// A whole regular file of at most `max_bytes`; failures are usage errors that name the path.
[[nodiscard]] Result<std::vector<std::byte>> read_image_file(const std::string& path,
                                                             uint64_t max_bytes = uint64_t{1} << 30);

}  // namespace vmm
