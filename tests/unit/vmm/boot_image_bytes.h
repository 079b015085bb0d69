// Images from a few bytes, and what became of them in memory.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "vmm/load/boot_image.h"

namespace vmm_test {

using Bytes = std::vector<std::byte>;

inline vmm::GuestMemory make_memory() {
  return vmm::GuestMemory::allocate(uint64_t{8} << 20, vmm::Prefault::kNo).value();
}

template <class T>
void put(Bytes& bytes, uint64_t at, T value) {
  if (bytes.size() < at + sizeof(value)) bytes.resize(at + sizeof(value));
  std::memcpy(bytes.data() + at, &value, sizeof(value));
}

inline std::string text_at(const vmm::GuestMemory& memory, uint64_t at) {
  std::string text;
  for (char c = 0; (c = memory.load<char>(vmm::Gpa{at}).value()) != '\0'; ++at) text += c;
  return text;
}

inline void check_refused(const vmm::Result<vmm::StartState>& start, const std::string& why) {
  REQUIRE(!start);
  CHECK(start.error().kind == vmm::ErrorKind::kUsage);
  CHECK_MESSAGE(start.error().text().find(why) != std::string::npos, start.error().text());
}

// The smallest bzImage: one setup sector, 64 bytes of kernel.
inline Bytes bzimage(const std::function<void(Bytes&)>& change = {}) {
  Bytes b(1024 + 64, std::byte{0x90});
  std::fill(b.begin(), b.begin() + 1024, std::byte{0});
  put(b, 0x1f1, uint8_t{1});
  put(b, 0x1fe, uint16_t{0xaa55});
  put(b, 0x201, uint8_t{0x66});
  put(b, 0x202, uint32_t{0x53726448});
  put(b, 0x206, uint16_t{0x020f});
  put(b, 0x211, uint8_t{1});
  put(b, 0x22c, uint32_t{0x37ffffff});
  put(b, 0x238, uint32_t{64});
  put(b, 0x258, uint64_t{0x100000});
  put(b, 0x260, uint32_t{0x10000});
  if (change) change(b);
  return b;
}

}  // namespace vmm_test
