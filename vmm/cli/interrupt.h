// Ctrl-C: the first SIGINT, SIGTERM or SIGHUP (unless nohup asks to ignore it) asks the run to stop, so that
// what was measured is printed; a second one, at least 200 ms later,
// ends the process at once with 130. Called once by main() before
// other threads start; they must block these signals, so that the main thread's blocking calls see EINTR.
#pragma once

#include <atomic>

namespace vmm {

// `stop` must outlive the process's last signal: give it static storage.
void stop_on_interrupt(std::atomic<bool>& stop);

}  // namespace vmm
