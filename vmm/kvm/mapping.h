// A memory mapping with one owner. Move-only; unmaps on destruction. Any thread, one at a time.
#pragma once

#include <cstddef>
#include <utility>

#include "vmm/result.h"

namespace vmm {

class Mapping {
 public:
  // Private zeroed memory, readable and writable, not yet populated. The start is a multiple of `alignment`
  // (a power of two, at least the page size).
  [[nodiscard]] static Result<Mapping> anonymous(size_t bytes, size_t alignment);
  // The first `bytes` of a file or device, shared.
  [[nodiscard]] static Result<Mapping> shared(int fd, size_t bytes);

  Mapping() = default;
  Mapping(Mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { unmap(); }

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] size_t size() const { return size_; }

 private:
  Mapping(std::byte* data, size_t size) : data_(data), size_(size) {}
  void unmap();

  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace vmm
