// Images of guests on the PC board: what to copy where, and where memory may be used. Loaders of the formats
// make a PhysicalImage of an untrusted file; place() checks it against the machine's memory map and copies.
//
// Order: parse_…() → place(). Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "vmm/kvm/memory.h"
#include "vmm/load/image_bytes.h"
#include "vmm/result.h"

namespace vmm {

struct PhysicalSegment {
  Gpa start;
  uint64_t file_offset = 0;
  uint64_t file_bytes = 0;
  uint64_t memory_bytes = 0;  // ≥ file_bytes; the rest is zeroed
};

// Checked: file ranges inside the file, address ranges without overflow.
struct PhysicalImage {
  std::vector<PhysicalSegment> segments;  // none empty
  Gpa entry;                              // inside a segment
  bool is_64bit = false;                  // an ELF64 file
};

// ELF32 and ELF64 executables for x86, by physical addresses. The entry may be given as virtual or as
// physical address (kernels linked to run high do either); an entry given by the caller, from a note, is a
// physical one and takes the place of the header's.
[[nodiscard]] Result<PhysicalImage> parse_elf_physical(ImageBytes file, std::optional<Gpa> entry = {});

// Guests may lie in [kLowMemoryStart, kHandoverStart) and from 1 MiB to the end of memory.
[[nodiscard]] bool is_guests(Gpa start, uint64_t bytes, uint64_t memory_bytes);

// Copies all segments, or nothing if one does not lie in the guest's memory or two overlap.
[[nodiscard]] Result<void> place(ImageBytes file, const PhysicalImage& image, const GuestMemory& memory);

// First address above all segments, at least 1 MiB.
[[nodiscard]] Gpa end_of(const PhysicalImage& image);

}  // namespace vmm
