// Writes messages of Protocol Buffers: the few wire types that a trace for Perfetto needs
// (protobuf.dev/programming-guides/encoding). Pure, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace vmm {

class ProtoMessage {
 public:
  // uint32, uint64, bool, enum and non-negative int64.
  void number(uint32_t field, uint64_t value) {
    tag(field, kVarint);
    varint(value);
  }
  // int64: ten bytes if it is negative, as the format wants it.
  void signed_number(uint32_t field, int64_t value) { number(field, static_cast<uint64_t>(value)); }
  void fixed64(uint32_t field, uint64_t value) {
    tag(field, kFixed64);
    for (int i = 0; i < 8; ++i) bytes_ += static_cast<char>(value >> (8 * i) & 0xff);
  }
  void text(uint32_t field, std::string_view value) {
    tag(field, kLength);
    varint(value.size());
    bytes_ += value;
  }
  void message(uint32_t field, const ProtoMessage& value) { text(field, value.bytes_); }

  const std::string& bytes() const { return bytes_; }
  void clear() { bytes_.clear(); }

 private:
  enum Wire : uint32_t { kVarint = 0, kFixed64 = 1, kLength = 2 };

  void tag(uint32_t field, Wire wire) { varint(uint64_t{field} << 3 | wire); }
  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

}  // namespace vmm
