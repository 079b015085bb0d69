// PVH, the direct boot of Xen's HVM guests that Linux, Xen and FreeBSD kernels offer: an ELF file with a note
// of owner "Xen" and type 18 (XEN_ELFNOTE_PHYS32_ENTRY), whose 4 or 8 bytes are the physical address of a
// 32-bit entry. EBX points at an hvm_start_info, version 1 (xen/include/public/arch-x86/hvm/start_info.h):
// command line, modules (Linux: the first is the initrd), RSDP and memory map.
//
// Order: is_pvh() → load_pvh(). Pure; any thread.
#pragma once

#include <span>
#include <string>

#include "vmm/load/handover.h"
#include "vmm/load/physical_image.h"
#include "vmm/load/start_state.h"

namespace vmm {

// An ELF file with such a note in one of its note segments, whatever the note holds.
[[nodiscard]] bool is_pvh(ImageBytes file);

// Segments and the note's entry. Usage errors: no note, or its entry is cut off, above 4 GiB or in no
// segment; and those of parse_elf_physical().
[[nodiscard]] Result<PhysicalImage> parse_pvh(ImageBytes file);

[[nodiscard]] Result<StartState> load_pvh(ImageBytes file, std::span<const BootModule> modules,
                                          const std::string& cmdline, const GuestMemory& memory);

}  // namespace vmm
