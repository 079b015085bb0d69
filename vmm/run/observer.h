// Who looks on while guests run, and may ask for other policies: the live view. An engine's owner tells it
// when there is something to see.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "vmm/run/engine.h"
#include "vmm/run/guest_pages.h"
#include "vmm/run_types.h"

namespace vmm {

struct ObservedRun {
  const Engine& engine;
  std::vector<VmChange> policies;  // that the VMs begin with
  Nanos length{};                  // warm-up included; kForever: until it ends by itself
  // Any thread, while it may be looked at. Empty: its guests keep no counters of ours.
  std::function<GuestCounters(VmId, VcpuIndex)> guest;
  double tsc_khz = 0;           // to read `acks`
  bool host_schedules = false;  // a thread a vCPU
};

class RunObserver {
 public:
  virtual ~RunObserver() = default;
  // The thread that drives the engine. From begins() to ends(), what `run` points to may be looked at by
  // Engine's calls for any thread; when ends() returns, nobody does any more.
  virtual void begins(const ObservedRun& run) = 0;
  virtual void ends() = 0;
  // Likewise: the VMs have gone on with these, which nobody has asked for by take_change().
  virtual void changed(std::span<const VmChange>) {}
  // Likewise, at least ten times a second: what the VMs are to go on with, checked to be possible
  // (check_together()); once.
  [[nodiscard]] virtual std::optional<std::vector<VmChange>> take_change() = 0;
};

// Between begins() and ends(), whichever way out is taken. Nobody may look on (null).
class Observation {
 public:
  Observation(RunObserver* observer, const ObservedRun& run) : observer_(observer) {
    if (observer_ != nullptr) observer_->begins(run);
  }
  Observation(const Observation&) = delete;
  Observation& operator=(const Observation&) = delete;
  ~Observation() { end(); }
  void end() {
    if (observer_ != nullptr) observer_->ends();
    observer_ = nullptr;
  }
  void changed(std::span<const VmChange> vms) {
    if (observer_ != nullptr) observer_->changed(vms);
  }
  [[nodiscard]] std::optional<std::vector<VmChange>> take_change() {
    return observer_ == nullptr ? std::nullopt : observer_->take_change();
  }

 private:
  RunObserver* observer_;
};

}  // namespace vmm
