// A run's machine as the scheduler sees it: workers, groups, VMs with their policies.
//
// Plain data; built before a run and constant during it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sched/base/types.h"
#include "sched/policy/policy.h"

namespace sched {

// A VM of the run, numbered.
struct VmInfo {
  VmId id{};
  Policy policy;
  uint32_t first = 0;  // VcpuId of its vCPU 0
  uint32_t size = 0;
  GroupId group{};       // its own
  uint32_t changes = 0;  // of its policy, since the start
  VcpuId vcpu(uint32_t index) const { return VcpuId{first + index}; }
};

struct GroupSetup {
  std::string path;  // "prod/web"
  GroupId parent = kRootGroup;
  Weight weight{};
};

struct VmSetup {
  uint32_t vcpus = 1;
  Weight weight{};
  GroupId parent = kRootGroup;
  Policy policy;
  std::vector<WorkerId> places = {};  // of its vCPUs, where a policy has no idea of its own; empty: in turn
};

struct Setup {
  uint32_t workers = 1;
  QueueKind queue = QueueKind::kEevdf;  // kEevdf, kRoundRobin or kGang
  std::vector<GroupSetup> groups;       // a parent comes before its children
  std::vector<VmSetup> vms;             // vCPU ids are dealt in this order
  Tuning tuning;                        // of the queues themselves
  Nanos spin_window{50'000};  // of busy-waiting, then a spin exit: the unit of wait-gap and donate-windows
  uint64_t seed = 1;
  bool judges_yields = false;  // hold each against what its guest publishes (VcpuStats::yields_right)
  // Tests of what watches the scheduler: every so-many-th wake-up is forgotten. 0: none.
  uint32_t loses_wakeups = 0;
};

}  // namespace sched
