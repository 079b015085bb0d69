#include "vmm/cli/interrupt.h"

#include <time.h>
#include <unistd.h>

#include <csignal>

namespace vmm {
namespace {

std::atomic<bool>* stop_flag = nullptr;  // set before the handler is, constant from then on

// timeout(1) sends every signal twice, to its child and to the child's process group. Nobody asks again
// sooner than this.
constexpr int64_t kSameRequest = 200'000'000;  // ns

std::atomic<int64_t> asked_at{0};  // ns of CLOCK_MONOTONIC

int64_t clock_now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

void handle(int) {
  // The time before the flag: who sees the flag set sees since when.
  int64_t first = 0;
  if (asked_at.compare_exchange_strong(first, clock_now())) {
    stop_flag->store(true);
  } else if (clock_now() - first >= kSameRequest) {
    _exit(130);
  }
}

// nohup's wish stands.
bool is_ignored(int signal) {
  struct sigaction now = {};
  return sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

}  // namespace

void stop_on_interrupt(std::atomic<bool>& stop) {
  static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int64_t>::is_always_lock_free,
                "the handler may only touch lock-free atomics");
  stop_flag = &stop;
  struct sigaction action = {};
  action.sa_handler = handle;  // no SA_RESTART: waiting calls return
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  if (!is_ignored(SIGHUP)) sigaction(SIGHUP, &action, nullptr);
}

}  // namespace vmm
