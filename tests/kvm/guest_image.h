// A guest's code as an image that kvmux loads. Pure, any thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "tests/unit/vmm/elf_builder.h"

namespace kvm_test {

// An ELF file with this code at 1 MiB.
inline std::vector<std::byte> guest_image(std::span<const uint8_t> code) {
  constexpr uint64_t kStart = 0x100000;
  vmm_test::ElfBuilder elf;
  elf.programs.clear();
  elf.payload_bytes = code.size();
  elf.add(kStart, code.size(), code.size());
  elf.header.e_entry = kStart;
  auto bytes = elf.bytes();
  std::memcpy(bytes.data() + elf.payload_offset(), code.data(), code.size());
  return bytes;
}

}  // namespace kvm_test
