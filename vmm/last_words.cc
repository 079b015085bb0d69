#include "vmm/last_words.h"

#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace vmm {
namespace {

constexpr int64_t kPatience = 400;  // ms

std::atomic<void (*)()> first_act{nullptr};

int64_t now_ms() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * 1000 + t.tv_nsec / 1'000'000;
}

// Another thread may fill a pipe between poll() and write(): so it is written without waiting where the
// kernel can (pipes since Linux 6.4). A piece fits into what poll() calls writable.
ssize_t write_piece(std::string_view text) {
  constexpr size_t kPiece = 4096;
  iovec piece{const_cast<char*>(text.data()), std::min(text.size(), kPiece)};
  const ssize_t got = ::pwritev2(STDERR_FILENO, &piece, 1, -1, RWF_NOWAIT);
  if (got >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL)) return got;
  return ::write(STDERR_FILENO, piece.iov_base, piece.iov_len);
}

// What has no room is cut off.
class Line {
 public:
  Line& add(std::string_view text) {
    const size_t size = std::min(text.size(), text_.size() - used_);
    std::memcpy(text_.data() + used_, text.data(), size);
    used_ += size;
    return *this;
  }
  Line& add(int number) {
    std::array<char, 12> digits;
    size_t at = digits.size();
    do digits[--at] = static_cast<char>('0' + number % 10);
    while ((number /= 10) > 0);
    return add({digits.data() + at, digits.size() - at});
  }
  std::string_view text() const { return {text_.data(), used_}; }

 private:
  std::array<char, 1024> text_;
  size_t used_ = 0;
};

}  // namespace

void before_last_words(void (*act)()) noexcept { first_act.store(act); }

void last_words(std::string_view text) noexcept {
  if (const auto act = first_act.exchange(nullptr)) act();
  const int64_t end = now_ms() + kPatience;
  while (!text.empty()) {
    const int64_t left = end - now_ms();
    if (left <= 0) return;
    pollfd ready{STDERR_FILENO, POLLOUT, 0};
    if (::poll(&ready, 1, static_cast<int>(left)) <= 0) continue;  // a signal, or the end of its time
    const ssize_t got = write_piece(text);
    if (got > 0) {
      text.remove_prefix(static_cast<size_t>(got));
    } else if (errno != EINTR && errno != EAGAIN) {
      return;  // closed or full: nobody can be told
    }
  }
}

void broken_invariant(std::string_view file, int line, std::string_view message,
                      std::string_view condition) noexcept {
  Line words;
  words.add(file).add(":").add(line).add(": broken invariant: ").add(message);
  words.add(" (").add(condition).add(")\n");
  last_words(words.text());
  std::abort();
}

}  // namespace vmm
