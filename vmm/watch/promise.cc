#include "vmm/watch/promise.h"

#include <algorithm>
#include <set>
#include <string>

#include "sched/policy/longest_wait.h"
#include "vmm/run/sections.h"
#include "vmm/run/setup.h"

namespace vmm::watch {
namespace {

std::string policies_of(const RunSpec& spec) {
  std::string names;
  for (const VmSpec& vm : spec.vms) names += vm.policy.name + ";";
  return names;
}

}  // namespace

std::function<Nanos(uint32_t)> promised_wait(const RunSpec& spec) {
  if (is_host_run(spec)) return {};
  const RunSpec base = without_changes(spec);
  std::vector<sched::Setup> setups;
  std::set<std::string> seen;  // a switchback has thousands of turns and a handful of policies
  for (size_t section = 0; section <= spec.changes.size(); ++section) {
    const RunSpec part = spec_of_section(base, spec.changes, section);
    if (!seen.insert(policies_of(part)).second) continue;
    if (auto setup = make_setup(part, part.spin_window)) setups.push_back(std::move(*setup));
  }
  return [setups = std::move(setups)](uint32_t runnable) {
    Nanos longest{};
    for (const sched::Setup& setup : setups)
      longest = std::max(longest, sched::longest_wait(setup, runnable));
    return longest;
  };
}

}  // namespace vmm::watch
