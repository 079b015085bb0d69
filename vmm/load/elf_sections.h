// The section headers of an untrusted ELF file of either class, and what of the sections no segment holds:
// what Multiboot 2 kernels are handed over for their symbols. Pure; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "vmm/kvm/memory.h"
#include "vmm/load/image_bytes.h"
#include "vmm/result.h"

namespace vmm {

struct ElfSections {
  std::vector<std::byte> headers;  // as in the file
  uint32_t count = 0;
  uint32_t header_bytes = 0;
  uint32_t names = 0;  // the section that holds the sections' names
  // Sections without an address, of at least one byte: they are loaded for the table's sake.
  struct Unplaced {
    uint32_t index = 0;
    ImageBytes content;
  };
  std::vector<Unplaced> unplaced;
};

// Nothing in it: the file has no sections, or more than kMaxSections. Usage errors: headers of an unknown
// size, or headers or a section that lie outside of the file.
inline constexpr uint32_t kMaxSections = 512;
[[nodiscard]] Result<ElfSections> read_elf_sections(ImageBytes file);

// Stores in its header where an unplaced section has come to lie.
void set_section_address(ElfSections& sections, uint32_t index, Gpa at);

}  // namespace vmm
