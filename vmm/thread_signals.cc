#include "vmm/thread_signals.h"

#include <initializer_list>

namespace vmm {
namespace {

// A fault that is blocked ends the process in silence. SIGTTOU: a terminal's owner may stop who writes to it from the
// background (stty tostop).
sigset_t of_others() {
  sigset_t all;
  ::sigfillset(&all);
  for (const int own : {SIGSYS, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGTTOU}) {
    ::sigdelset(&all, own);
  }
  return all;
}

}  // namespace

void leave_signals_to_main() {
  const sigset_t others = of_others();
  ::pthread_sigmask(SIG_BLOCK, &others, nullptr);
}

ThreadsWithoutSignals::ThreadsWithoutSignals() {
  const sigset_t others = of_others();
  ::pthread_sigmask(SIG_BLOCK, &others, &before_);
}

}  // namespace vmm
