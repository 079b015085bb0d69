// Where an image that need not be an ELF file goes, by the address fields that a Multiboot header of either
// version may have (Multiboot Specification 0.6.96, 3.1.3; Multiboot2 Specification 2.0, 3.1.5): one piece of
// the file, zeros behind it. Pure; any thread.
#pragma once

#include "vmm/load/physical_image.h"

namespace vmm {

struct AddressFields {
  uint32_t header_address = 0;  // where the header comes to lie
  uint32_t load_address = 0;    // of the first byte loaded; at or below the header's
  uint32_t load_end = 0;        // 0: the end of the file
  uint32_t bss_end = 0;         // 0: nothing behind the load end
  uint32_t entry = 0;
};

// `operation` opens the usage errors, all of which are about fields that contradict the file or each other.
[[nodiscard]] Result<PhysicalImage> parse_address_fields(ImageBytes file, uint64_t header_offset,
                                                         const AddressFields& fields, const char* operation);

}  // namespace vmm
