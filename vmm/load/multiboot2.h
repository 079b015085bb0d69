// Multiboot 2 (Multiboot2 Specification 2.0): finds the header in an untrusted image, takes its tags, loads
// kernel and modules, and starts it in 32-bit protected mode with EBX at the boot information
// (multiboot2_info.h).
//
// The kernel is an ELF32 or ELF64 executable, or anything with an address tag. Of the header's tags (3.1.3 to
// 3.1.13) these have an effect: information request, address, entry address, relocatable. Modules are
// page-aligned anyway. Without effect: framebuffer (a wish), what is optional and not known. Refused by name
// where it is required: EFI (7, 8, 9: there is no firmware), a console that must be there (4: there is no
// screen), unknown header tags and unknown kinds of information.
//
// Order: find_multiboot2() → load_multiboot2(). Pure; any thread.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "vmm/load/elf_sections.h"
#include "vmm/load/handover.h"
#include "vmm/load/physical_image.h"
#include "vmm/load/start_state.h"

namespace vmm {

struct Multiboot2Header {
  uint64_t offset = 0;  // in the file
  uint32_t architecture = 0;
  uint32_t bytes = 0;  // with its tags, as it says
};

// The first header in the first 32 KiB with a good checksum, whatever its tags are.
[[nodiscard]] std::optional<Multiboot2Header> find_multiboot2(ImageBytes file);

// Where an image may be moved to.
struct Relocatable {
  uint32_t lowest = 0;   // no part of the image lies below,
  uint32_t highest = 0;  // or above
  uint32_t align = 0;    // of its first segment
  uint32_t preference = 0;
};

struct Multiboot2Image {
  PhysicalImage image;  // as it is linked
  std::optional<Relocatable> relocatable;
  ElfSections sections;  // of an ELF file that is loaded as such
};

[[nodiscard]] Result<Multiboot2Image> parse_multiboot2(ImageBytes file, const Multiboot2Header& header);

// Moved to where its tag wants it: lowest or highest place, or without a preference to the lowest if it
// cannot stay where it is linked. Usage error: no place for it.
[[nodiscard]] Result<PhysicalImage> relocate(const PhysicalImage& image, const Relocatable& wanted,
                                             uint64_t memory_bytes);

// `memory` has the firmware's tables already (write_firmware()).
[[nodiscard]] Result<StartState> load_multiboot2(ImageBytes file, const Multiboot2Header& header,
                                                 std::span<const BootModule> modules,
                                                 const std::string& cmdline, const GuestMemory& memory);

}  // namespace vmm
