// The program headers of an ELF file of either class, for loaders that look at a file before they know whose
// it is: what cannot be read is left out. parse_elf_physical() (physical_image.h) is the one that refuses.
// Pure; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "vmm/load/image_bytes.h"

namespace vmm {

struct ProgramHeader {
  uint32_t type = 0;  // PT_LOAD, PT_NOTE, …
  uint64_t offset = 0, file_bytes = 0;
  uint64_t virtual_start = 0, physical_start = 0, memory_bytes = 0;
  uint64_t align = 0;
  ImageBytes content;  // empty where it lies outside of the file
};

// By its magic number alone: one that is cut off behind it is a broken ELF file, not something else.
[[nodiscard]] bool is_elf(ImageBytes file);

// At most kMaxProgramHeaders; none: no ELF file, or none that lies in it.
[[nodiscard]] std::vector<ProgramHeader> program_headers(ImageBytes file);

}  // namespace vmm
