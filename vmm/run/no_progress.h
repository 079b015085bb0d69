// VMs that got nowhere in the whole measured window, without its being certain that they never will again
// (silence_watch.h ends those): named when the run is over, as a note, because a result that says "0/s" and
// nothing else leaves one guessing. A guest may be meant to sleep that long, so it is no failure.
//
// Pure, any thread.
#pragma once

#include <string>

#include "vmm/run_types.h"

namespace vmm {

struct WindowOf {
  Nanos length{};
  bool silent = false;             // no vCPU was up in it, as far as the watch could tell
  bool counts_operations = false;  // the guest is one of those that do
};

// "its vCPUs slept through the whole window of 2 s", "… waited the whole window of 2 s for a worker", "… ran
// for 1.2 s of the window of 2 s and finished no operation"; empty: it made progress, or does not tell.
[[nodiscard]] std::string no_progress(const VmResult& vm, const WindowOf& window);

}  // namespace vmm
