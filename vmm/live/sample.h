// One look at a running machine by the live view: plain data, so that frames are made of it without a
// machine.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "sched/base/stats.h"
#include "vmm/run/machine_view.h"
#include "vmm/run/observer.h"
#include "vmm/run/vcpu.h"

namespace vmm {

struct LiveSample {
  MachineView machine;
  std::vector<Engine::VcpuUse> counted;  // by VcpuId
  std::vector<GuestCounters> guests;     // by VcpuId; empty: they keep none, or are too many
  uint64_t steals = 0;
  uint64_t balances = 0;
  double tsc_khz = 0;
  bool host_schedules = false;  // a thread a vCPU: what has not computed was waiting or asleep
};

// Of more vCPUs than this their guests' own counters are not looked at: two kilobytes each.
inline constexpr size_t kMostGuestCounters = 512;

// Any thread, while the run may be looked at.
void look_at(const ObservedRun& run, LiveSample& sample);

}  // namespace vmm
