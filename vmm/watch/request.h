// SIGUSR1: a dump, please. The signal rouses the watcher of the run that goes on; without one it does
// nothing.
#pragma once

#include "vmm/run/clock.h"

namespace vmm::watch {

// Called once by main(), before there are threads.
void dump_on_signal();

// The watcher: sleeps until this instant, a request or rouse(). True: it was roused by one of them.
[[nodiscard]] bool sleep_until(Nanos at);
// Any thread, signal handlers included. Requests that nobody has taken count once.
void rouse();
// The watcher: a signal has come since the last call.
[[nodiscard]] bool take_request();

}  // namespace vmm::watch
