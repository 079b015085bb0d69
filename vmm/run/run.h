// Runs one configuration: the KVM backend or the simulator, as the spec says. Both have this signature, so
// that whatever drives runs (run, compare, tests with a fake) does not care which it is.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "vmm/result.h"
#include "vmm/run_types.h"

namespace vmm {

class PcGuests;
class RunObserver;
class TraceRecorder;

// Makes the PCs of a run with this specification (vmm/run/pc_guests.h).
using PcGuestsMaker = std::function<std::unique_ptr<PcGuests>(const RunSpec&)>;

// Shared between the thread that called run() and whoever wants the run to end: the SIGINT handler sets
// `stop`, so it must stay valid until run() returns.
struct RunControl {
  std::atomic<bool> stop{false};   // end early; the result says `interrupted`
  TraceRecorder* trace = nullptr;  // where the run says what it does; null: nowhere
  // A text for the user from whoever watches the run, while it goes on; any thread, may not wait, may be
  // empty.
  std::function<void(const std::string&)> say;
  // Writes what `trace` has of this time under this title, and says where; any thread, may be empty.
  std::function<std::string(const std::string& title, Nanos from, Nanos to)> keep_trace;
  RunObserver* observer = nullptr;       // who looks on (observer.h); null: nobody
  PcGuestsMaker pcs;                     // empty: runs with Linux guests are refused
  std::function<void(double)> progress;  // share done, 0 … 1; called by run()'s own thread, may be empty
};

// Blocks until the run's warm-up and duration are over or `stop` is set. One run at a time. SIGINT and
// SIGTERM are meant for the calling thread (blocking calls there return EINTR); every other thread blocks
// them.
[[nodiscard]] Result<RunResult> run(const RunSpec& spec, RunControl& control);

using Runner = std::function<Result<RunResult>(const RunSpec&, RunControl&)>;

}  // namespace vmm
