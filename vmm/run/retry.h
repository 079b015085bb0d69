// System calls that may fail for a moment: tried again, a bounded number of times. Any thread.
#pragma once

#include <sched.h>

#include <cerrno>

namespace vmm {

// The host is short of something, or a signal came in between: the next try may go well.
inline bool passes(int error) {
  return error == EINTR || error == EAGAIN || error == ENOMEM || error == EBUSY || error == ENOBUFS;
}

// `call` returns a negative number and sets errno when it fails. 0 once it has succeeded, else the errno of
// the last try.
template <class Call>
[[nodiscard]] int retried(Call call, int tries = 16) {
  for (;;) {
    if (call() >= 0) return 0;
    const int error = errno;
    if (!passes(error) || --tries == 0) return error;
    if (error != EINTR) ::sched_yield();
  }
}

// For calls whose result is wanted: once more when a signal came in between, a bounded number of times. What
// the last try returned, with its errno.
template <class Call>
[[nodiscard]] auto uninterrupted(Call call) {
  constexpr int kTries = 1000;
  for (int tries = kTries;; --tries) {
    const auto result = call();
    if (result >= 0 || errno != EINTR || tries == 1) return result;
  }
}

}  // namespace vmm
