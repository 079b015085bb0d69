// The bytes of a guest's access to a port or to MMIO as a number: little-endian, at most eight. Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>

namespace vmm {

inline uint64_t to_value(std::span<const uint8_t> data) {
  uint64_t value = 0;
  std::memcpy(&value, data.data(), std::min(data.size(), sizeof(value)));
  return value;
}

}  // namespace vmm
