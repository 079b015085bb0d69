#include <array>

#include "sched/policy/policy.h"

namespace sched {
namespace {

constexpr Features with_queue(QueueKind queue) {
  Features features;
  features.queue = queue;
  return features;
}

// Linux 6.19: a spin exit leads to a directed yield with next buddy and forfeit.
constexpr Features mainline_yield() {
  Features features;
  features.spin = true;
  features.buddy = true;
  features.forfeit = true;
  return features;
}

constexpr Features hier() {
  Features features = mainline_yield();
  features.hier = true;
  return features;
}

constexpr Features deboost() {
  Features features = mainline_yield();
  features.deboost = true;
  return features;
}

constexpr Features ipi_aware(IpiModelKind model) {
  Features features = mainline_yield();
  features.candidates = CandidateRule::kPriorities;
  features.ipi = model;
  features.relaxed = true;
  return features;
}

// Faithful to the series, its faults included: the relaxed round inherits the tries of the strict one, and an
// attempt that is rejected later on uses up the rate limit all the same.
constexpr Features v2() {
  Features features = ipi_aware(IpiModelKind::kV2);
  features.deboost = true;
  features.reset_tries = false;
  features.rate_limit_first = true;
  return features;
}

constexpr Features v3() {
  Features features = ipi_aware(IpiModelKind::kV3);
  features.credit = true;
  return features;
}

constexpr Features kvmux() {
  Features features = ipi_aware(IpiModelKind::kKvmux);
  features.candidates = CandidateRule::kKvmux;
  features.pull = true;
  features.switch_back = true;
  features.yield_on_send = true;
  features.running_hint = true;
  features.pack = true;
  features.affinity = true;
  features.donate = true;
  return features;
}

// Longer turns: being taken off in mid-work is what makes others spin, and an M:N preemption costs two exits.
// A nominee may be two such slices ahead, as many as elsewhere.
constexpr Tuning kvmux_tuning() {
  Tuning tuning;
  tuning.slice = Nanos{6'000'000};
  tuning.quantum_multiplier = 2;
  tuning.nomination_lag = 2 * tuning.slice;
  return tuning;
}

constexpr std::array kPresets{
    Preset{"rr", "round robin with a fixed slice; spin exits do nothing", with_queue(QueueKind::kRoundRobin)},
    Preset{"fair", "EEVDF; spin exits do nothing", with_queue(QueueKind::kEevdf)},
    Preset{"yield", "EEVDF and directed yield with next buddy and forfeit: Linux 6.19", mainline_yield()},
    Preset{"hier", "yield + proportional forfeit up the group hierarchy", hier()},
    Preset{"deboost", "yield + vruntime penalty on the yielder (the series' first half)", deboost()},
    Preset{"ipi", "yield to awaited IPI receivers first (the series' second half)",
           ipi_aware(IpiModelKind::kV2)},
    Preset{"v2", "deboost + ipi: the v2 series, faults included", v2()},
    Preset{"v3", "IPI tracking by vector + lag credit to the target", v3()},
    Preset{
        "kvmux",
        "awaited sets and chains, likely lock holders; targets are brought here, changing places or with a donated turn",
        kvmux(), kvmux_tuning()},
    Preset{"gang", "co-schedules all vCPUs of a VM", with_queue(QueueKind::kGang)},
    Preset{"host", "a thread per vCPU, the host's scheduler decides; spin exits do nothing",
           with_queue(QueueKind::kHost)},
    Preset{"host-yield", "a thread per vCPU with sched_yield() on a spin exit",
           with_queue(QueueKind::kHostYield)},
    Preset{"host-kvm", "a thread per vCPU with KVM's own local APIC and PAUSE-loop handling",
           with_queue(QueueKind::kHostKvm)},
};

}  // namespace

std::span<const Preset> presets() { return kPresets; }

}  // namespace sched
