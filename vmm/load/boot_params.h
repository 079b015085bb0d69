// What Linux/x86 is handed over, whichever entry it is started by: boot_params, the "zero page"
// (Documentation/arch/x86/zero-page.rst of the Linux kernel) with setup header, E820 map and RSDP, the
// command line behind it, and the initrd as high as it may lie.
//
// Pure; set-up, one thread.
#pragma once

#include <cstdint>
#include <string>

#include "vmm/kvm/memory.h"
#include "vmm/load/image_bytes.h"
#include "vmm/result.h"

namespace vmm {

// Offsets in boot_params; a bzImage has its setup header at the same ones (Documentation/arch/x86/boot.rst).
enum BootParamsOffset : uint64_t {
  kSetupHeader = 0x1f1,
  kSetupSectors = 0x1f1,
  kVideoMode = 0x1fa,
  kBootFlag = 0x1fe,
  kJumpLength = 0x201,
  kHeaderEndBase = 0x202,
  kHeaderMagic = 0x202,
  kProtocolVersion = 0x206,
  kLoaderType = 0x210,
  kLoadFlags = 0x211,
  kCode32Start = 0x214,
  kInitrdAddress = 0x218,
  kInitrdBytes = 0x21c,
  kCmdlineAddress = 0x228,
  kInitrdLast = 0x22c,
  kCmdlineMax = 0x238,
  kPreferredAddress = 0x258,
  kInitBytes = 0x260,
  kSetupHeaderLimit = 0x290,  // what follows is not the setup header's
};
inline constexpr uint32_t kHdrS = 0x53726448;
inline constexpr uint16_t kBootFlagValue = 0xaa55;
inline constexpr uint8_t kLoadedHigh = 0x01;  // of kLoadFlags

struct LinuxKernel {
  ImageBytes setup_header;     // from kSetupHeader on
  uint64_t end = 0;            // first address above all that it takes until it reads the memory map
  uint64_t cmdline_max = 255;  // without the closing zero
  uint64_t initrd_last = 0;    // the highest address of an initrd
};

// Places initrd (empty: none) and command line and fills boot_params; its address. Usage errors: the kernel
// or the initrd does not fit into memory, the command line is longer than the kernel takes.
[[nodiscard]] Result<Gpa> write_boot_params(const LinuxKernel& kernel, ImageBytes initrd,
                                            const std::string& cmdline, const GuestMemory& memory);

}  // namespace vmm
