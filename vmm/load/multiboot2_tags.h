// The tags of a Multiboot 2 header, checked (Multiboot2 Specification 2.0, 3.1.3 to 3.1.13). Pure; any
// thread.
#pragma once

#include <optional>

#include "vmm/load/address_fields.h"
#include "vmm/load/multiboot2.h"

namespace vmm {

inline constexpr const char* kMultiboot2Operation = "load Multiboot 2 image";

// Of several tags of a kind the last counts.
struct Multiboot2Tags {
  std::optional<AddressFields> address;  // without the entry
  bool from_beginning = false;           // the address tag's load address is -1
  std::optional<uint32_t> entry;
  std::optional<Relocatable> relocatable;
};

[[nodiscard]] Result<Multiboot2Tags> read_multiboot2_tags(ImageBytes file, const Multiboot2Header& header);

}  // namespace vmm
