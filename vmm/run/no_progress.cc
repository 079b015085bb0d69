#include "vmm/run/no_progress.h"

#include <fmt/format.h>

namespace vmm {
namespace {

std::string seconds(Nanos time) { return fmt::format("{:.3g} s", static_cast<double>(time.count()) / 1e9); }

}  // namespace

std::string no_progress(const VmResult& vm, const WindowOf& window) {
  Nanos running{};
  Nanos waiting{};
  uint64_t operations = 0;
  bool stopped = true;
  for (const VcpuResult& vcpu : vm.vcpus) {
    running += vcpu.sched.times.running;
    waiting += vcpu.sched.times.waiting;
    operations += vcpu.operations;
    stopped = stopped && vcpu.sched.times.stopped >= window.length;
  }
  if (stopped || operations > 0 || window.length <= Nanos{}) return {};
  const std::string length = seconds(window.length);
  if (window.silent || (running == Nanos{} && waiting == Nanos{}))
    return "its vCPUs slept through the whole window of " + length;
  if (running == Nanos{})
    return fmt::format("its vCPUs had no turn in the whole window of {}: they waited {} for a worker", length,
                       seconds(waiting));
  if (!window.counts_operations) return {};
  return fmt::format("its vCPUs ran for {} in the window of {} and finished no operation", seconds(running),
                     length);
}

}  // namespace vmm
