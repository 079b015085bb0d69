#include "vmm/cli/run_record.h"

#include <fmt/format.h>

namespace vmm {

RunRecord make_record(const RunId& id, const RunSpec& spec, const RunResult& result, Nanos took) {
  RunRecord record;
  record.id = id;
  record.seed = spec.seed;
  record.seconds = static_cast<double>(result.window.count()) / 1e9;
  // The simulator's results depend on nothing but the command.
  if (spec.backend != Backend::kSim) record.took = static_cast<double>(took.count()) / 1e9;
  record.metrics = measure(spec, result);
  for (const VmResult& vm : result.vms) record.vm_ops_per_second.push_back(vm.ops_per_second);
  record.noise = result.noise;
  record.detail = detail_of(spec, result);
  return record;
}

std::string describe(const Experiment::Next& next) {
  return fmt::format("{} {} block {}{} {}", next.cell->info.guest, next.cell->info.size, next.id.block + 1,
                     next.id.attempt == 0 ? "" : fmt::format(" (again, {})", next.id.attempt),
                     next.slot->label);
}

std::string first_failure(const RunResult& result) {
  for (size_t i = 0; i < result.vms.size(); ++i) {
    const VmResult& vm = result.vms[i];
    if (!vm.failure.empty()) return fmt::format("vm{}: {}", i, vm.failure);
    if (vm.exit_code.value_or(0) != 0) return fmt::format("vm{}: the guest ended with {}", i, *vm.exit_code);
  }
  return "a guest's check of itself failed";
}

Json failure_line(const Experiment::Next& next, const std::string& what) {
  return {{"kind", "failure"},          {"cell", next.id.cell}, {"block", next.id.block},
          {"attempt", next.id.attempt}, {"slot", next.id.slot}, {"what", what}};
}

Json note_line(const Experiment::Next& next, const std::string& what) {
  Json line = failure_line(next, what);
  line["kind"] = "note";
  return line;
}

Failure stall_error(const RunResult& result) {
  return host_error("stall", 0,
                    fmt::format("it was still so at the end, and the run's figures are void: {}",
                                result.stalls.empty() ? "it got nowhere" : result.stalls.back()));
}

std::string notes_of(const RunResult& result) {
  if (!result.stalls.empty()) {
    const size_t more = result.stalls.size() - 1;
    return "stalled for a while: " + result.stalls.front() + (more > 0 ? fmt::format("; and {} more", more) : "");
  }
  std::string first;
  size_t others = 0;
  for (size_t i = 0; i < result.vms.size(); ++i) {
    if (result.vms[i].note.empty()) continue;
    if (first.empty()) {
      first = fmt::format("vm{}: {}", i, result.vms[i].note);
    } else {
      ++others;
    }
  }
  return others == 0 ? first : fmt::format("{}; and {} other VMs got nowhere", first, others);
}

}  // namespace vmm
