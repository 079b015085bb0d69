// KVMUX-wide invariants inside sched/: always on, also in release builds. A broken invariant ends the
// process, because a scheduler that lost track of a vCPU can only produce wrong figures from there on.
#pragma once

#include <cstdio>
#include <cstdlib>

#define SCHED_CHECK(condition)                                                               \
  do {                                                                                       \
    if (!(condition)) [[unlikely]] {                                                         \
      std::fprintf(stderr, "%s:%d: broken invariant: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                          \
    }                                                                                        \
  } while (false)

// Costly cross-checks against a recomputation: debug builds only.
#ifdef NDEBUG
#define SCHED_DCHECK(condition) static_cast<void>(0)
#else
#define SCHED_DCHECK(condition) SCHED_CHECK(condition)
#endif
