// Uncompressed Linux kernels, `vmlinux`: ELF64 files that are entered by the 64-bit boot protocol
// (Documentation/arch/x86/boot.rst of the Linux kernel, "64-bit Boot Protocol"): 64-bit mode on an identity
// map, CS 10H, DS, ES and SS 18H, interrupts off, RSI at boot_params.
//
// A vmlinux is told from other ELF files by two things together: a segment that is linked at least 1 GiB
// above the place where it is loaded, and Linux' banner in a loaded segment, "Linux version " with a digit
// behind it, which /proc/version prints. Notes do not do: the first kernel with one of owner Linux is 4.18,
// and the build id is anybody's. A kernel with a note for PVH starts by that instead (pvh.h).
//
// Order: is_vmlinux() → load_vmlinux(). Pure; any thread.
#pragma once

#include <string>

#include "vmm/load/physical_image.h"
#include "vmm/load/start_state.h"

namespace vmm {

// Of either class: one of 32 bits is known, and refused by its name.
[[nodiscard]] bool is_vmlinux(ImageBytes file);

// Usage errors: of 32 bits, and those of parse_elf_physical().
[[nodiscard]] Result<PhysicalImage> parse_vmlinux(ImageBytes file);

// An empty initrd is none.
[[nodiscard]] Result<StartState> load_vmlinux(ImageBytes file, ImageBytes initrd, const std::string& cmdline,
                                              const GuestMemory& memory);

}  // namespace vmm
