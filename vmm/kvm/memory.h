// Guest memory: one anonymous mapping that backs guest-physical addresses from 0, and the only way from a Gpa
// to a host pointer. Every access is bounds-checked against the guest's size; nothing overflows.
//
// Any thread may read and write at any time: the guest's vCPUs race with the host by nature. Bytes that a
// running guest may change must be copied once and then judged (read(), load()), never looked at twice. Must
// outlive the VmFd that it is mapped into.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "vmm/kvm/mapping.h"
#include "vmm/result.h"

namespace vmm {

// A guest-physical address.
struct Gpa {
  uint64_t value = 0;
  friend constexpr auto operator<=>(Gpa, Gpa) = default;
  friend constexpr Gpa operator+(Gpa a, uint64_t bytes) { return {a.value + bytes}; }
};

enum class Prefault : uint8_t {
  kNo,   // pages come on first touch, about 25 µs each on a nested host
  kYes,  // all pages now
};

class GuestMemory {
 public:
  // `bytes` must be a positive multiple of 4 KiB. Asks for transparent huge pages.
  [[nodiscard]] static Result<GuestMemory> allocate(uint64_t bytes, Prefault prefault = Prefault::kYes);

  [[nodiscard]] uint64_t size() const { return mapping_.size(); }
  [[nodiscard]] std::byte* host_base() const { return mapping_.data(); }
  [[nodiscard]] bool contains(Gpa start, uint64_t bytes) const;

  // A range outside of guest memory is a guest error that names it.
  [[nodiscard]] Result<std::span<std::byte>> span(Gpa start, uint64_t bytes) const;
  [[nodiscard]] Result<void> read(Gpa start, std::span<std::byte> out) const;
  [[nodiscard]] Result<void> write(Gpa start, std::span<const std::byte> in) const;
  [[nodiscard]] Result<void> fill_zero(Gpa start, uint64_t bytes) const;

  template <class T>
  [[nodiscard]] Result<T> load(Gpa at) const {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    return read(at, std::as_writable_bytes(std::span(&value, 1))).map([&] { return value; });
  }
  template <class T>
  [[nodiscard]] Result<void> store(Gpa at, const T& value) const {
    static_assert(std::is_trivially_copyable_v<T>);
    return write(at, std::as_bytes(std::span(&value, 1)));
  }

 private:
  explicit GuestMemory(Mapping mapping) : mapping_(std::move(mapping)) {}

  Mapping mapping_;
};

}  // namespace vmm
