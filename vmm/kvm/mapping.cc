#include "vmm/kvm/mapping.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstdint>

#include "vmm/check.h"

namespace vmm {

Result<Mapping> Mapping::anonymous(size_t bytes, size_t alignment) {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  KVMUX_CHECK(std::has_single_bit(alignment) && alignment >= page, "alignment is a power of two of pages");
  KVMUX_CHECK(bytes > 0 && bytes % page == 0, "a mapping is whole pages");
  const size_t reserve = bytes + alignment - page;
  void* start = ::mmap(nullptr, reserve, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) return host_error(fmt::format("map {} bytes of memory", bytes), errno);
  const auto address = reinterpret_cast<uintptr_t>(start);
  const size_t before = (alignment - address % alignment) % alignment;
  const size_t after = reserve - before - bytes;
  auto* data = static_cast<std::byte*>(start) + before;
  if (before != 0) ::munmap(start, before);
  if (after != 0) ::munmap(data + bytes, after);
  return Mapping(data, bytes);
}

Result<Mapping> Mapping::shared(int fd, size_t bytes) {
  void* start = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (start == MAP_FAILED) return host_error(fmt::format("map {} bytes of fd {}", bytes, fd), errno);
  return Mapping(static_cast<std::byte*>(start), bytes);
}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this != &other) {
    unmap();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

void Mapping::unmap() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

}  // namespace vmm
