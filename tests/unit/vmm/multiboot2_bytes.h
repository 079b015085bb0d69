// Multiboot 2 headers from tags, for tests.
#pragma once

#include <initializer_list>
#include <vector>

#include "tests/unit/vmm/boot_image_bytes.h"

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
