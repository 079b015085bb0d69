// Multiboot 1 (Multiboot Specification 0.6.96): finds and checks the header in an untrusted image, loads
// kernel and modules, and hands over the boot information: memory sizes, memory map, command line, modules,
// loader name.
//
// The kernel is an ELF32 or ELF64 executable, or anything with address fields in its header. Information and
// strings lie at kHandoverStart, modules page-aligned behind the kernel. The command line is passed on as
// given. Order: find_multiboot() → load_multiboot(). Pure; any thread.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "vmm/load/address_fields.h"
#include "vmm/load/handover.h"
#include "vmm/load/physical_image.h"
#include "vmm/load/start_state.h"

namespace vmm {

struct MultibootHeader {
  uint64_t offset = 0;  // in the file
  uint32_t flags = 0;
  AddressFields address = {};  // only with flags bit 16
};

// The first valid header in the first 8 KiB, if there is one.
[[nodiscard]] std::optional<MultibootHeader> find_multiboot(ImageBytes file);

// Refuses required features that do not exist here, and address fields that contradict the file.
[[nodiscard]] Result<PhysicalImage> parse_multiboot(ImageBytes file, const MultibootHeader& header);

// Puts the modules behind `kernel_end` and writes the boot information; its address. Guests of formats
// without boot information of their own get it too.
[[nodiscard]] Result<Gpa> write_multiboot_info(Gpa kernel_end, std::span<const BootModule> modules,
                                               const std::string& cmdline, const GuestMemory& memory);
[[nodiscard]] StartRegisters multiboot_registers(Gpa info);

[[nodiscard]] Result<StartState> load_multiboot(ImageBytes file, const MultibootHeader& header,
                                                std::span<const BootModule> modules,
                                                const std::string& cmdline, const GuestMemory& memory);

}  // namespace vmm
