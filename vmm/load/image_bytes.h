// Reading an untrusted image: every access is checked against its size, nothing overflows. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

namespace vmm {

using ImageBytes = std::span<const std::byte>;

inline bool inside(ImageBytes image, uint64_t offset, uint64_t bytes) {
  return offset <= image.size() && bytes <= image.size() - offset;
}

template <class T>
std::optional<T> read_field(ImageBytes image, uint64_t offset) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (!inside(image, offset, sizeof(T))) return std::nullopt;
  T value;
  std::memcpy(&value, image.data() + offset, sizeof(T));
  return value;
}

}  // namespace vmm
