#include "vmm/watch/request.h"

#include <semaphore.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <ctime>

#include "vmm/run/retry.h"

namespace vmm::watch {
namespace {

sem_t* bell() {
  static sem_t semaphore;
  static const bool made = ::sem_init(&semaphore, 0, 0) == 0;  // fails for absurd values alone
  static_cast<void>(made);
  return &semaphore;
}

sem_t* the_bell = nullptr;  // set before the handler is
std::atomic<bool> requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "the handler may only touch lock-free atomics");

void handle(int) {
  const int saved = errno;
  requested.store(true, std::memory_order_relaxed);
  ::sem_post(the_bell);  // full: it rings already
  errno = saved;
}

}  // namespace

void dump_on_signal() {
  the_bell = bell();
  struct sigaction action = {};
  action.sa_handler = handle;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGUSR1, &action, nullptr);
}

bool sleep_until(Nanos at) {
  const timespec until = to_timespec(at);
  for (;;) {
    if (::sem_clockwait(bell(), CLOCK_MONOTONIC, &until) == 0) return true;
    if (errno != EINTR) return false;  // the time has come
  }
}

void rouse() { ::sem_post(bell()); }

bool take_request() { return requested.exchange(false, std::memory_order_relaxed); }

}  // namespace vmm::watch
