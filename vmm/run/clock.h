// The host's clocks. Any thread, async-signal-safe.
#pragma once

#include <sys/resource.h>

#include <ctime>

#include "sched/base/types.h"

namespace vmm {

using sched::Nanos;

// CLOCK_MONOTONIC: the clock of the workers' timers and of their sleep as well.
inline Nanos monotonic_now() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return std::chrono::seconds(t.tv_sec) + Nanos(t.tv_nsec);
}

// CPU time of the calling thread: a system call, up to half a µs. Where it fails, getrusage() tells, in whole µs.
inline Nanos thread_cpu_now() {
  timespec t{};
  for (int tries = 4; tries > 0; --tries) {
    if (::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0) [[likely]]
      return std::chrono::seconds(t.tv_sec) + Nanos(t.tv_nsec);
  }
  rusage use{};
  ::getrusage(RUSAGE_THREAD, &use);
  return std::chrono::seconds(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
         std::chrono::microseconds(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

inline timespec to_timespec(Nanos t) {
  constexpr Nanos::rep kSecond = 1'000'000'000;
  return {t.count() / kSecond, t.count() % kSecond};
}

inline uint64_t host_tsc() { return __builtin_ia32_rdtsc(); }

}  // namespace vmm
