// Multiboot 2 images, their headers from tags, and the information that they are handed, for tests.
#pragma once

#include <doctest/doctest.h>

#include <array>
#include <functional>
#include <vector>

#include "tests/unit/vmm/boot_image_bytes.h"
#include "tests/unit/vmm/elf_builder.h"
#include "vmm/load/boot_image.h"
#include "vmm/platform/firmware.h"

namespace vmm_test {

struct Multiboot2Tag {
  uint16_t type = 0;
  uint16_t flags = 0;
  std::vector<uint32_t> words;
};

// With the end tag behind them.
inline Bytes multiboot2_header(const std::vector<Multiboot2Tag>& tags, uint32_t architecture = 0) {
  constexpr uint32_t kMagic = 0xe85250d6;
  Bytes b(16);
  const auto add = [&b](const Multiboot2Tag& tag) {
    const uint64_t at = b.size();
    put(b, at, tag.type);
    put(b, at + 2, tag.flags);
    put(b, at + 4, static_cast<uint32_t>(8 + tag.words.size() * 4));
    for (size_t i = 0; i < tag.words.size(); ++i) put(b, at + 8 + i * 4, tag.words[i]);
    b.resize((b.size() + 7) / 8 * 8);
  };
  for (const Multiboot2Tag& tag : tags) add(tag);
  add({});
  const auto size = static_cast<uint32_t>(b.size());
  put(b, 0, std::array{kMagic, architecture, size, 0u - kMagic - architecture - size});
  return b;
}

using Multiboot2TagList = std::vector<Multiboot2Tag>;

// Of a header (Multiboot2 Specification 2.0, 3.1.3 to 3.1.12).
enum Multiboot2TagType : uint16_t {
  kRequest = 1,
  kAddress = 2,
  kEntry = 3,
  kConsole = 4,
  kFramebuffer = 5,
  kAlign = 6,
  kEfiServices = 7,
  kEfi32 = 8,
  kEfi64 = 9,
  kRelocatable = 10,
};

// An ELF64 at 2 MiB with a header in its payload.
inline Bytes mb2_elf(const Multiboot2TagList& tags = {}, const std::function<void(ElfBuilder&)>& change = {}) {
  ElfBuilder elf;
  elf.payload_bytes = 256;
  if (change) change(elf);
  Bytes bytes = elf.bytes();
  const Bytes header = multiboot2_header(tags);
  const uint64_t at = (elf.payload_offset() + 7) / 8 * 8;
  REQUIRE(at + header.size() <= bytes.size());
  std::copy(header.begin(), header.end(), bytes.begin() + static_cast<ptrdiff_t>(at));
  return bytes;
}

// A file of 512 bytes, no ELF, with its header at 16.
inline Bytes mb2_flat(const Multiboot2TagList& tags) {
  Bytes bytes(512, std::byte{0x90});
  const Bytes header = multiboot2_header(tags);
  REQUIRE(16 + header.size() <= bytes.size());
  std::copy(header.begin(), header.end(), bytes.begin() + 16);
  return bytes;
}

inline vmm::GuestMemory firmware_memory() {
  vmm::GuestMemory memory = make_memory();
  REQUIRE(vmm::write_firmware({2, 2}, memory));
  return memory;
}

inline vmm::Result<vmm::StartState> load(const Bytes& file, const vmm::GuestMemory& memory) {
  return vmm::load_boot_image({.file = file, .format = {}}, memory);
}

inline uint32_t word(const vmm::GuestMemory& memory, uint64_t at) { return memory.load<uint32_t>(vmm::Gpa{at}).value(); }

// Those of a tag in the boot information, behind type and size; a number counts from 0 among those of the
// type.
struct InfoTag {
  bool found = false;
  uint64_t at = 0;  // of its content
  uint32_t bytes = 0;
};
inline InfoTag info_tag(const vmm::GuestMemory& memory, uint64_t info, uint32_t type, unsigned number = 0) {
  const uint64_t end = info + memory.load<uint32_t>(vmm::Gpa{info}).value();
  for (uint64_t at = info + 8; at + 8 <= end;) {
    const auto head = memory.load<std::array<uint32_t, 2>>(vmm::Gpa{at}).value();
    REQUIRE(head[1] >= 8);
    if (head[0] == type && number-- == 0) return {true, at + 8, head[1] - 8};
    if (head[0] == 0) {
      CHECK(at + 8 == end);
      return {};
    }
    at += (head[1] + 7) / 8 * 8;
  }
  FAIL("the information has no end");
  return {};
}

}  // namespace vmm_test
