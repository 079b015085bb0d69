#include "vmm/cli/interrupt.h"

#include <unistd.h>

#include <csignal>

namespace vmm {
namespace {

std::atomic<bool>* stop_flag = nullptr;  // set before the handler is, constant from then on

void handle(int) {
  // Relaxed would do for the flag itself; exchange tells the first signal from the second.
  if (stop_flag->exchange(true)) _exit(130);
}

// nohup's wish stands.
bool is_ignored(int signal) {
  struct sigaction now = {};
  return sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

}  // namespace

void stop_on_interrupt(std::atomic<bool>& stop) {
  static_assert(std::atomic<bool>::is_always_lock_free, "the handler may only touch lock-free atomics");
  stop_flag = &stop;
  struct sigaction action = {};
  action.sa_handler = handle;  // no SA_RESTART: waiting calls return
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  if (!is_ignored(SIGHUP)) sigaction(SIGHUP, &action, nullptr);
}

}  // namespace vmm
