// Which CPUs a run uses: one rule for every policy, for the baselines and for the calibration, so that none
// is compared on other CPUs than another. Of the CPUs that this process may use (taskset, cpuset), or of
// those that --cpus names, a run with W workers uses W: cores before SMT siblings, one node before a second,
// performance cores before efficiency cores. Workers rotate over exactly these, and host threads are bound to
// exactly these.
//
// Reads sysfs at a root of the caller's choice; what is not there (containers, old kernels) counts as alike.
// Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace vmm {

// What of sysfs is read, so that a sandbox can leave it readable.
inline constexpr std::array<const char*, 3> kTopologyFolders{
    "/sys/devices/system/cpu", "/sys/devices/system/node", "/sys/devices/cpu_atom"};

struct CpuPlace {
  int cpu = 0;
  int package = 0;
  int core = 0;  // within the package
  int node = 0;
  bool efficiency = false;  // an efficiency core of an unequal machine
};
std::vector<CpuPlace> read_cpu_places(const std::string& sysfs, std::span<const int> cpus);

struct CpuChoice {
  std::vector<int> cpus;           // in the order in which workers take them
  std::vector<std::string> notes;  // in which way they are unequal: siblings, efficiency cores, nodes
  [[nodiscard]] std::string words() const;  // "0-3: SMT siblings share a core: 0,1"
};
// `places` must not be empty. Fewer CPUs than workers: all of them, shared by the workers. `quota`: so many CPUs' time is
// all there is (cpu_supply.h).
CpuChoice choose_cpus(std::span<const CpuPlace> places, size_t workers, std::optional<double> quota = {});

// Narrows the CPUs that runs of this process may use (--cpus). Main thread, before the first run: every
// policy and the calibration follow, because there is nothing else to follow.
void restrict_runs_to(std::vector<int> cpus);
// Those, or all that this process may use. Main thread.
std::vector<int> usable_cpus();

// The rule applied to this process and host. Main thread.
CpuChoice chosen_cpus(size_t workers);

// "0-3,8": as sysfs and taskset write it.
std::vector<int> parse_cpu_list(const std::string& text);
std::string cpu_list_text(std::vector<int> cpus);

}  // namespace vmm
