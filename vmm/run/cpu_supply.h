// What the host lets this process have of its CPUs, and what has changed between two looks: CPUs that went offline, the
// affinity mask (taskset, cpuset), the CPU quota of its cgroups (cpu.max) and what that has held back. Whatever changes in a
// measured window makes its figures those of another machine: such a run is disturbed.
//
// Reads files of the kernel below roots of the caller's choice; what is not there, or cannot be read, counts as
// unchanged. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace vmm {

inline constexpr const char* kCgroupFolder = "/sys/fs/cgroup";

struct SupplyFiles {
  std::string online = "/sys/devices/system/cpu/online";
  std::string status = "/proc/self/status";      // of the main thread: workers are bound to one CPU each
  std::string membership = "/proc/self/cgroup";  // the line of version 2, "0::/path"
  std::string cgroups = kCgroupFolder;
};

struct CpuSupply {
  std::vector<int> online;      // sorted; empty: not known
  std::vector<int> allowed;     // sorted; empty: not known
  std::optional<double> quota;  // CPUs, of the tightest of the cgroup and those above it; none: no limit
  uint64_t held_back_us = 0;    // by such quotas so far, all CPUs together
};
CpuSupply read_cpu_supply(const SupplyFiles& files = {});

// A sentence each. `used`: the CPUs that the run may have used when it began; those that are offline by the end are not
// among what sched_getaffinity() says then.
std::vector<std::string> supply_changes(const CpuSupply& before, const CpuSupply& after,
                                        std::span<const int> used);

}  // namespace vmm
