// Any image that `kvmux boot` takes: finds out what it is and hands it to its loader.
//   Linux        bzImage, entered at its 32-bit entry
//   Multiboot    entered in 32-bit protected mode
//   PVH          ELF with Xen's note: entered in 32-bit protected mode
//   Multiboot 2  entered in 32-bit protected mode
//   vmlinux      ELF64 that is Linux: entered in 64-bit mode on an identity map of 4 GiB, with boot_params
//   ELF          none of these: ELF64 in 64-bit mode on an identity map of 4 GiB, ELF32 in protected mode
//   flat         everything else: copied to its address; real mode below 1 MiB, 32-bit protected mode above
// An image that is several of these is the first of them.
// ELF and flat guests get Multiboot's boot information too, in EBX (ELF64: in RDI as well), and a stack below
// kHandoverStart. Flat real-mode guests find 80H in DL, as a boot sector does.
//
// Pure; any thread.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "vmm/load/handover.h"
#include "vmm/load/start_state.h"

namespace vmm {

enum class BootFormat : uint8_t { kFlat, kElf, kMultiboot, kLinux, kPvh, kMultiboot2, kVmlinux };

[[nodiscard]] BootFormat detect_format(ImageBytes file);

// Usage error: nothing but a flat image, says what the file is or what is accepted. For those who need a
// kernel.
[[nodiscard]] Result<void> check_kernel(ImageBytes file);

struct BootImage {
  ImageBytes file;
  std::optional<BootFormat> format = {};     // nothing: detect
  Gpa flat_address{0x7c00};                  // where a flat image goes and starts
  std::span<const BootModule> modules = {};  // for Linux at most one, the initrd
  std::string cmdline = {};
};

// `memory` has the firmware's tables already (write_firmware()).
[[nodiscard]] Result<StartState> load_boot_image(const BootImage& image, const GuestMemory& memory);

}  // namespace vmm
