#include "vmm/run/cpu_supply.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "vmm/run/cpu_choice.h"

namespace vmm {
namespace {

// The rest of the line of a file that begins with `name`; empty: there is none.
std::string line_of(const std::string& path, std::string_view name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name)) return line.substr(name.size());
  }
  return {};
}

// Of one cgroup; the root has none of these files.
void add_cgroup(const std::string& folder, CpuSupply& supply) {
  std::istringstream limit(line_of(folder + "/cpu.max", ""));
  double allowance = 0;  // us in each period; "max" for no limit
  double period = 0;
  if (limit >> allowance >> period && period > 0) {
    const double cpus = allowance / period;
    if (!supply.quota || cpus < *supply.quota) supply.quota = cpus;
  }
  std::istringstream held(line_of(folder + "/cpu.stat", "throttled_usec "));
  uint64_t us = 0;
  if (held >> us) supply.held_back_us += us;
}

std::string quota_words(const std::optional<double>& quota) {
  return quota ? fmt::format("{:.2f} CPUs", *quota) : "no limit";
}

bool holds(std::span<const int> cpus, int cpu) { return std::find(cpus.begin(), cpus.end(), cpu) != cpus.end(); }

}  // namespace

CpuSupply read_cpu_supply(const SupplyFiles& files) {
  CpuSupply supply;
  supply.online = parse_cpu_list(line_of(files.online, ""));
  std::istringstream allowed(line_of(files.status, "Cpus_allowed_list:"));
  std::string list;
  allowed >> list;
  supply.allowed = parse_cpu_list(list);
  std::string path = line_of(files.membership, "0::");
  while (path.size() > 1) {
    add_cgroup(files.cgroups + path, supply);
    path.resize(path.rfind('/'));
  }
  add_cgroup(files.cgroups, supply);  // in a namespace of cgroups the path is "/"
  return supply;
}

std::vector<std::string> supply_changes(const CpuSupply& before, const CpuSupply& after,
                                        std::span<const int> used) {
  std::vector<std::string> changes;
  for (const int cpu : used) {
    const bool known = !before.online.empty() && !after.online.empty();
    if (known && holds(before.online, cpu) && !holds(after.online, cpu))
      changes.push_back(fmt::format("CPU {} went offline", cpu));
  }
  const bool told = !before.allowed.empty() && !after.allowed.empty();
  if (told && before.allowed != after.allowed) {
    changes.push_back(fmt::format("this process may use CPUs {}, before {}", cpu_list_text(after.allowed),
                                  cpu_list_text(before.allowed)));
  }
  if (before.quota != after.quota) {
    changes.push_back(fmt::format("the CPU quota of its cgroup is {}, before {}", quota_words(after.quota),
                                  quota_words(before.quota)));
  }
  if (after.held_back_us > before.held_back_us) {
    changes.push_back(fmt::format("the CPU quota of its cgroup ({}) held threads back for {:.1f} ms",
                                  quota_words(after.quota),
                                  static_cast<double>(after.held_back_us - before.held_back_us) / 1e3));
  }
  return changes;
}

}  // namespace vmm
