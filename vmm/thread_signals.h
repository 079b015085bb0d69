// Signals to the process are the main thread's: its handlers stop the process at Ctrl-Z, put the terminal back,
// end a run, and so do what the sandboxes of other threads forbid. Other threads have their own faults alone.
#pragma once

#include <signal.h>

namespace vmm {

// The calling thread, which is not the main one, leaves them to others from here on. What it waits for itself (a
// kick) it has to unblock.
void leave_signals_to_main();

// While it lives, a thread that is started begins so: there is no instant at which it has others' signals. What comes
// for the calling thread waits.
class ThreadsWithoutSignals {
 public:
  ThreadsWithoutSignals();
  ~ThreadsWithoutSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  ThreadsWithoutSignals(const ThreadsWithoutSignals&) = delete;
  ThreadsWithoutSignals& operator=(const ThreadsWithoutSignals&) = delete;

 private:
  sigset_t before_;
};

}  // namespace vmm
