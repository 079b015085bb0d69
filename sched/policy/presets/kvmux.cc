// Our own: sched/README.md.
#include <array>

#include "sched/policy/presets/common.h"
#include "sched/policy/presets/list.h"

namespace sched {
namespace {

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

constexpr Features oracle() {
  Features features = kvmux();
  features.candidates = CandidateRule::kOracle;
  features.extend = Extend::kCritical;
  return features;
}

// Longer turns: being taken off in mid-work is what makes others spin, and an M:N preemption costs two exits.
// A nominee may be two such slices ahead, as many as elsewhere. Where more than four vCPUs share a worker,
// turns shrink, down to what Linux gives, or the last would wait for seconds. While IPIs wait for vCPUs that
// wait, turns shrink sooner and further: that costs their VMs nothing, because yields at the send help them, not
// long turns (docs/latency.md).
constexpr Tuning kvmux_tuning() {
  Tuning tuning;
  tuning.slice = Nanos{6'000'000};
  tuning.quantum_multiplier = 2;
  tuning.latency_target = 4 * tuning.quantum_multiplier * tuning.slice;
  tuning.ipi_latency = Nanos{12'000'000};
  tuning.nomination_lag = 2 * tuning.slice;
  return tuning;
}

constexpr std::array kPresets{
    Preset{"kvmux",
           "awaited sets and chains, likely lock holders; targets are brought here, changing places or with "
           "a donated turn",
           kvmux(), kvmux_tuning()},
    Preset{"oracle",
           "not for use: kvmux that knows of guests who publish it whom a vCPU waits for, to measure guesses by",
           oracle(), kvmux_tuning()},
};

}  // namespace

std::span<const Preset> kvmux_presets() { return kPresets; }

}  // namespace sched
