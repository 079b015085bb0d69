// Little-endian tables byte by byte, with the checksum that ACPI and MP tables share: all bytes of a table
// add up to 0 modulo 256. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace vmm {

class TableBytes {
 public:
  TableBytes& u8(uint64_t v) { return number(v, 1); }
  TableBytes& u16(uint64_t v) { return number(v, 2); }
  TableBytes& u32(uint64_t v) { return number(v, 4); }
  TableBytes& u64(uint64_t v) { return number(v, 8); }
  TableBytes& zeros(size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  // Exactly `width` bytes, filled up with `fill`.
  TableBytes& text(std::string_view s, size_t width, char fill = ' ') {
    for (size_t i = 0; i < width; ++i) u8(static_cast<uint8_t>(i < s.size() ? s[i] : fill));
    return *this;
  }
  TableBytes& append(std::span<const uint8_t> more) {
    bytes_.insert(bytes_.end(), more.begin(), more.end());
    return *this;
  }
  void patch32(size_t at, uint64_t v) { patch(at, v, 4); }
  void patch16(size_t at, uint64_t v) { patch(at, v, 2); }
  // Sets the byte at `at` so that `bytes` bytes from `first` add up to 0.
  void set_checksum(size_t at, size_t first, size_t bytes) {
    bytes_[at] = 0;
    unsigned sum = 0;
    for (size_t i = first; i < first + bytes; ++i) sum += bytes_[i];
    bytes_[at] = static_cast<uint8_t>(0u - sum);
  }
  [[nodiscard]] size_t size() const { return bytes_.size(); }
  [[nodiscard]] std::span<const uint8_t> bytes() const { return bytes_; }

 private:
  TableBytes& number(uint64_t v, unsigned width) {
    for (unsigned i = 0; i < width; ++i) bytes_.push_back(static_cast<uint8_t>(v >> (8 * i)));
    return *this;
  }
  void patch(size_t at, uint64_t v, unsigned width) {
    for (unsigned i = 0; i < width; ++i) bytes_[at + i] = static_cast<uint8_t>(v >> (8 * i));
  }

  std::vector<uint8_t> bytes_;
};

}  // namespace vmm
