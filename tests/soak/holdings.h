// What the process holds, which runs must not make more of. Any thread.
#pragma once

#include <cstdint>
#include <string>

namespace soak {

struct Holdings {
  int threads = 0;
  int fds = 0;
  int kvm_areas = 0;      // mappings of vCPUs and rings
  uint64_t heap = 0;      // bytes in use by malloc(); 0: not known
  uint64_t resident = 0;  // bytes
};

Holdings holdings();

// Empty, or what there is more of than `before`: of threads, descriptors and mappings nothing, as soon as a
// run is over.
std::string grown(const Holdings& before, const Holdings& now);

// The same for memory, over many runs: `runs` of them may leave a little each (caches, fragments), no more.
std::string memory_grown(const Holdings& before, const Holdings& now, uint64_t runs);

}  // namespace soak
