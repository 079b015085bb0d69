// The boot information of Multiboot 2 (Multiboot2 Specification 2.0, 3.6) at kHandoverStart: command line,
// loader name, modules, basic memory, memory map, copies of the RSDP as ACPI 1 and ACPI 2 have it, an ELF
// kernel's sections, and the load base of a relocatable one. Set-up, one thread.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "vmm/load/elf_sections.h"
#include "vmm/load/handover.h"

namespace vmm {

struct Multiboot2Kernel {
  Gpa start;  // where it lies
  Gpa end;
  std::optional<Gpa> load_base;  // of a relocatable kernel
  ElfSections sections;          // handed over if there are any
};

// Places modules behind the kernel, below it where there is no room behind, and ahead of them what of the
// sections is not in the kernel's segments (symbols, names); the information's address.
[[nodiscard]] Result<Gpa> write_multiboot2_info(Multiboot2Kernel kernel, std::span<const BootModule> modules,
                                                const std::string& cmdline, const GuestMemory& memory);

}  // namespace vmm
