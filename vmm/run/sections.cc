#include "vmm/run/sections.h"

namespace vmm {

std::vector<Mark> marks_of(const RunSpec& spec) {
  std::vector<Mark> marks;
  if (spec.changes.empty()) return marks;
  for (size_t section = 0; section <= spec.changes.size(); ++section) {
    const Nanos from = section == 0 ? Nanos{} : spec.changes[section - 1].at;
    const Nanos to = section < spec.changes.size() ? spec.changes[section].at : spec.duration;
    if (section > 0) marks.push_back({from, Mark::Kind::kChange, &spec.changes[section - 1]});
    if (spec.washout == Nanos{} || from + spec.washout >= to) continue;
    marks.push_back({from + spec.washout, Mark::Kind::kCount});
    marks.push_back({from + spec.washout + (to - from - spec.washout) / 2, Mark::Kind::kMiddle});
  }
  return marks;
}

RunSpec without_changes(const RunSpec& spec) {
  RunSpec result = spec;
  result.changes.clear();
  return result;
}

RunSpec spec_of_section(const RunSpec& base, const std::vector<PolicyChange>& changes, size_t section) {
  RunSpec result = base;
  if (section == 0) return result;
  const PolicyChange& change = changes[section - 1];
  for (size_t i = 0; i < result.vms.size(); ++i) result.vms[i].policy = change.vms[i].policy;
  return result;
}

double operations_per_second(const RunResult& result) {
  double sum = 0;
  for (const VmResult& vm : result.vms) sum += vm.ops_per_second;
  return sum;
}

}  // namespace vmm
