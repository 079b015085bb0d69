// Counts what the calling thread allocates and locks: this test program's own operator new and
// pthread_mutex_lock, defined in counted_calls.cc. Any thread; each sees its own counts.
#pragma once

#include <cstdint>

namespace kvm_test {

struct Calls {
  uint64_t allocations = 0;
  uint64_t locks = 0;  // not counted under ThreadSanitizer, which has a pthread_mutex_lock of its own
};

Calls calls_of_this_thread();
bool counts_locks();

}  // namespace kvm_test
