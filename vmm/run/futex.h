// Sleeping on an atomic word, and waking who sleeps on it. Any thread of one process; each returns 0 or an
// errno.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

#include "vmm/run/clock.h"
#include "vmm/run/retry.h"

namespace vmm {

// The kernel's view of an atomic word: the same 32 bits.
inline uint32_t* futex_word(const std::atomic<uint32_t>& word) {
  static_assert(sizeof(word) == sizeof(uint32_t) && std::atomic<uint32_t>::is_always_lock_free);
  return reinterpret_cast<uint32_t*>(const_cast<std::atomic<uint32_t>*>(&word));
}

// Sleeps while the word is 0, at most until this instant of CLOCK_MONOTONIC. May end early.
[[nodiscard]] inline int futex_wait_while_zero(const std::atomic<uint32_t>& word, Nanos until) {
  const timespec at = to_timespec(until);
  return retried([&] {
    const long woken = ::syscall(SYS_futex, futex_word(word), FUTEX_WAIT_BITSET_PRIVATE, 0,
                                 until == sched::kForever ? nullptr : &at, nullptr, FUTEX_BITSET_MATCH_ANY);
    // Not zero any more, a signal, the time is up: all as good as a wake-up.
    return woken >= 0 || errno == EAGAIN || errno == EINTR || errno == ETIMEDOUT ? 0 : -1;
  });
}

[[nodiscard]] inline int futex_wake(const std::atomic<uint32_t>& word) {
  return retried(
      [&] { return ::syscall(SYS_futex, futex_word(word), FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0); });
}

}  // namespace vmm
