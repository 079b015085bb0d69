#include "tests/soak/holdings.h"

#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace soak {
namespace {

int entries_of(const char* folder) {
  std::error_code error;
  int count = 0;
  for (auto at = std::filesystem::directory_iterator(folder, error); !error && at != std::filesystem::end(at);
       at.increment(error)) {
    ++count;
  }
  return count;
}

int kvm_areas() {
  std::ifstream maps("/proc/self/maps");
  int count = 0;
  for (std::string line; std::getline(maps, line);) {
    if (line.find("kvm-vcpu") != std::string::npos || line.find("io_uring") != std::string::npos) ++count;
  }
  return count;
}

uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t all = 0;
  uint64_t resident = 0;
  file >> all >> resident;
  return resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

// Sanitizers bring an allocator of their own, and memory that remembers every access.
constexpr bool kOwnAllocator =
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    true;
#else
    false;
#endif

}  // namespace

Holdings holdings() {
  if (!kOwnAllocator) ::malloc_trim(0);
  return {.threads = entries_of("/proc/self/task"),
          .fds = entries_of("/proc/self/fd"),
          .kvm_areas = kvm_areas(),
          .heap = kOwnAllocator ? 0 : ::mallinfo2().uordblks,
          .resident = kOwnAllocator ? 0 : resident_bytes()};
}

std::string grown(const Holdings& before, const Holdings& now) {
  std::string text;
  if (now.threads > before.threads) text += fmt::format(" {} threads, not {};", now.threads, before.threads);
  if (now.fds > before.fds) text += fmt::format(" {} descriptors, not {};", now.fds, before.fds);
  if (now.kvm_areas > before.kvm_areas)
    text += fmt::format(" {} mappings of KVM and rings, not {};", now.kvm_areas, before.kvm_areas);
  return text;
}

std::string memory_grown(const Holdings& before, const Holdings& now, uint64_t runs) {
  constexpr uint64_t kHeapOfARun = 1024;  // the smallest thing worth losing, a Vcpu, has more
  constexpr uint64_t kHeapOnce = 256 << 10;
  constexpr uint64_t kResidentOnce = 24 << 20;
  std::string text;
  if (now.heap > before.heap + kHeapOnce + runs * kHeapOfARun) {
    text += fmt::format(" heap grew from {} to {} bytes in {} runs;", before.heap, now.heap, runs);
  }
  if (now.resident > before.resident + kResidentOnce) {
    text += fmt::format(" resident memory grew from {} to {} KiB in {} runs;", before.resident >> 10,
                        now.resident >> 10, runs);
  }
  return text;
}

}  // namespace soak
