// Counts what the calling thread allocates, locks and asks for: this test program's own operator new,
// pthread_mutex_lock and clock_gettime, defined in counted_calls.cc. Any thread; each sees its own counts.
#pragma once

#include <cstdint>

namespace kvm_test {

struct Calls {
  uint64_t allocations = 0;
  // Not counted under ThreadSanitizer, which has functions of its own for these.
  uint64_t locks = 0;
  uint64_t cpu_clocks = 0;  // CLOCK_THREAD_CPUTIME_ID, a system call each
};

Calls calls_of_this_thread();
bool counts_locks();

}  // namespace kvm_test
