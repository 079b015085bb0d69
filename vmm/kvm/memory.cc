#include "vmm/kvm/memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>

#include "vmm/check.h"
#include "vmm/run/retry.h"

namespace vmm {

namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kHugePage = uint64_t{2} << 20;

Result<void> populate(std::byte* start, uint64_t bytes) {
#ifdef MADV_POPULATE_WRITE
  constexpr int kTries = 1000;  // each goes on where the one before was interrupted
  const int error = retried([&] { return ::madvise(start, bytes, MADV_POPULATE_WRITE); }, kTries);
  if (error == 0) return {};
  if (error != EINVAL) {  // before Linux 5.14
    return host_error(fmt::format("populate {} MiB of guest memory", bytes >> 20), error,
                      "the host has not that much memory free");
  }
#endif
  // A volatile store a page: the compiler must not see that zeroed memory gets zeros.
  for (uint64_t at = 0; at < bytes; at += kPage) *reinterpret_cast<volatile char*>(start + at) = 0;
  return {};
}

}  // namespace

Result<GuestMemory> GuestMemory::allocate(uint64_t bytes, Prefault prefault) {
  KVMUX_CHECK(bytes > 0 && bytes % kPage == 0, "guest memory is whole pages");
  auto mapping = Mapping::anonymous(bytes, bytes >= kHugePage ? kHugePage : kPage);
  if (!mapping) return Failure(mapping.error());
  // Only a wish: a kernel without transparent huge pages says EINVAL and 4 KiB pages do as well.
  static_cast<void>(::madvise(mapping->data(), bytes, MADV_HUGEPAGE));
  if (prefault == Prefault::kYes) {
    if (auto done = populate(mapping->data(), bytes); !done) return Failure(done.error());
  }
  return GuestMemory(std::move(*mapping));
}

bool GuestMemory::contains(Gpa start, uint64_t bytes) const {
  return start.value <= size() && bytes <= size() - start.value;
}

Result<std::span<std::byte>> GuestMemory::span(Gpa start, uint64_t bytes) const {
  if (!contains(start, bytes)) {
    return guest_error("access guest memory", fmt::format("{} bytes at {:#x} are not inside its {:#x} bytes",
                                                          bytes, start.value, size()));
  }
  return std::span(mapping_.data() + start.value, bytes);
}

Result<void> GuestMemory::read(Gpa start, std::span<std::byte> out) const {
  return span(start, out.size()).map([&](std::span<std::byte> from) {
    if (!out.empty()) std::memcpy(out.data(), from.data(), out.size());
  });
}

Result<void> GuestMemory::write(Gpa start, std::span<const std::byte> in) const {
  return span(start, in.size()).map([&](std::span<std::byte> to) {
    if (!in.empty()) std::memcpy(to.data(), in.data(), in.size());
  });
}

Result<void> GuestMemory::fill_zero(Gpa start, uint64_t bytes) const {
  return span(start, bytes).map([](std::span<std::byte> to) {
    if (!to.empty()) std::memset(to.data(), 0, to.size());
  });
}

}  // namespace vmm
