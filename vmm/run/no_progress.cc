#include "vmm/run/no_progress.h"

#include <fmt/format.h>

namespace vmm {
namespace {

std::string seconds(Nanos time) { return fmt::format("{:.3g} s", static_cast<double>(time.count()) / 1e9); }

// A pause, for a snapshot or a look at who has fallen silent, wakes host threads for a moment.
bool sleeps_through(const sched::StateTimes& times, Nanos window) {
  return times.running <= window / 1000 && times.halted >= window / 10 * 9;
}

}  // namespace

std::string no_progress(const VmResult& vm, const WindowOf& window) {
  Nanos running{};
  Nanos waiting{};
  uint64_t operations = 0;
  bool stopped = true;
  bool asleep = true;
  for (const VcpuResult& vcpu : vm.vcpus) {
    asleep = asleep && sleeps_through(vcpu.sched.times, window.length);
    running += vcpu.sched.times.running;
    waiting += vcpu.sched.times.waiting;
    operations += vcpu.operations;
    stopped = stopped && vcpu.sched.times.stopped >= window.length;
  }
  if (stopped || operations > 0 || window.length <= Nanos{}) return {};
  const std::string length = seconds(window.length);
  if (window.silent || asleep || (running == Nanos{} && waiting == Nanos{}))
    return "its vCPUs slept through the whole window of " + length;
  if (running == Nanos{})
    return fmt::format("its vCPUs had no turn in the whole window of {}: they waited {} for a worker", length,
                       seconds(waiting));
  if (!window.counts_operations) return {};
  return fmt::format("its vCPUs ran for {} in the window of {} and finished no operation", seconds(running),
                     length);
}

}  // namespace vmm
