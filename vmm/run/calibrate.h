// How fast this host runs the guests' loops and how dear an exit is: measured once per process by running the
// `calibrate` guest with a vCPU on every worker, because CPUs that all compute are slower than one that does
// so alone, and one may be slower than the next. Means over the workers; reused for every VM and repeat.
#pragma once

#include <atomic>
#include <map>

#include "vmm/run/tiny_vm.h"

namespace vmm {

// Thread-safe. ring: 3 or 0, the privilege level that the guests will run at.
[[nodiscard]] Result<Calibration> calibration(uint32_t ring, uint32_t workers, const std::atomic<bool>& stop,
                                              EventLoopKind event_loop = EventLoopKind::kAuto);

// For all guests of a run. Where a KVM interprets code at CPL 0, the same loop is thousands of times slower
// there, so each guest needs its ring's.
class Calibrations {
 public:
  [[nodiscard]] static Result<Calibrations> of(const RunSpec& spec, const std::atomic<bool>& stop);
  // Of a ring that one of the run's guests has.
  const Calibration& at(uint32_t ring) const { return by_ring_.at(ring); }
  // Of the run as a whole, whatever the order of its VMs: of the least privileged.
  const Calibration& common() const { return by_ring_.rbegin()->second; }

 private:
  std::map<uint32_t, Calibration> by_ring_;  // not empty
};

}  // namespace vmm
