// Is this ELF file one that can run here at all? The one answer for both loaders: `run` (elf.h) and `boot`
// (physical_image.h). Refusals are usage errors. Pure; any thread.
#pragma once

#include <elf.h>

#include "vmm/load/image_bytes.h"
#include "vmm/result.h"

namespace vmm {

enum class ElfClasses : uint8_t { k64, kBoth };

// Magic, class, byte order and version in e_ident. Says what the file is if it is no ELF.
[[nodiscard]] Result<void> check_elf_ident(ImageBytes file, ElfClasses accepted);

// Machine (one that its class can have), type and version.
[[nodiscard]] Result<void> check_elf_kind(const Elf64_Ehdr& header);
[[nodiscard]] Result<void> check_elf_kind(const Elf32_Ehdr& header);

}  // namespace vmm
