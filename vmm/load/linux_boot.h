// The Linux/x86 boot protocol (Documentation/arch/x86/boot.rst of the Linux kernel) as far as entering a
// bzImage at its 32-bit entry: kernel at 1 MiB, initrd as high as it may lie, boot_params with setup header,
// command line, E820 map and RSDP.
//
// Order: is_linux() → parse_linux() → load_linux(). Pure; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "vmm/load/image_bytes.h"
#include "vmm/load/start_state.h"
#include "vmm/result.h"

namespace vmm {

// What of an untrusted image's setup header decides how it is loaded.
struct LinuxImage {
  uint16_t version = 0;        // 0x020f: protocol 2.15
  uint64_t kernel_offset = 0;  // of the protected-mode part in the file
  uint64_t header_bytes = 0;   // of the setup header, from 0x1f1
  uint32_t cmdline_max = 255;  // without the closing zero
  uint32_t initrd_last = 0x37ffffff;
  uint64_t runtime_start = 0;  // memory that it takes until it reads the memory map;
  uint64_t runtime_bytes = 0;  // 0 bytes: it does not say
};

// Has the boot sector's and the setup header's magic numbers.
[[nodiscard]] bool is_linux(ImageBytes file);
[[nodiscard]] Result<LinuxImage> parse_linux(ImageBytes file);
// An empty initrd is none.
[[nodiscard]] Result<StartState> load_linux(ImageBytes file, const LinuxImage& image, ImageBytes initrd,
                                            const std::string& cmdline, const GuestMemory& memory);

}  // namespace vmm
