// Where a thread waits for one thing at a time that others bring: a word to sleep on and a place.
//
//   giver:  place = what;   word |= mail;   wake
//   owner:  word == 0 → sleep;   word & mail → take the place, word &= ~mail
// The word is changed with sequential consistency, so that whoever gives and then reads what the owner wrote
// before has_mail() is seen by has_mail(), or sees that (carrier.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "vmm/run/futex.h"

namespace vmm {

template <class T>
class Inbox {
 public:
  // Any thread, while nothing is in it: givers see to that. 0, or the errno of a wake-up that failed: the
  // owner may sleep on.
  [[nodiscard]] int give(const T& what) {
    what_ = what;
    return raise(kMail);
  }
  // Any thread: no more comes. What is in it is still taken.
  [[nodiscard]] int close() { return raise(kClosed); }

  // Owner: there is something.
  bool has_mail() const { return (word_.load(std::memory_order_seq_cst) & kMail) != 0; }
  // Owner: waits for the next. Nothing: it is closed. `failed(errno)`: it cannot sleep, and tries again.
  template <class Failed>
  [[nodiscard]] std::optional<T> take(Failed failed) {
    for (;;) {
      const uint32_t word = word_.load(std::memory_order_seq_cst);
      if ((word & kMail) != 0) {
        const T what = what_;
        word_.fetch_and(~kMail, std::memory_order_seq_cst);
        return what;
      }
      if (word != 0) return std::nullopt;
      // Not for ever: a wake-up may have failed.
      if (const int error = futex_wait_while_zero(word_, monotonic_now() + kPatience); error != 0)
        failed(error);
    }
  }

 private:
  static constexpr uint32_t kMail = 1;
  static constexpr uint32_t kClosed = 2;
  static constexpr Nanos kPatience{1'000'000'000};

  int raise(uint32_t bit) {
    word_.fetch_or(bit, std::memory_order_seq_cst);  // partner: the loads above
    return futex_wake(word_);
  }

  std::atomic<uint32_t> word_{0};
  T what_{};
};

}  // namespace vmm
