// Rivals from the literature (docs/rivals.md).
#include <array>

#include "sched/policy/presets/common.h"
#include "sched/policy/presets/list.h"

namespace sched {
namespace {

// Ishiguro et al., VEE 2021: the receiver of one's last IPI first, and a yielder that goes behind its target.
constexpr Features vee21() {
  Features features = mainline_yield();
  features.forfeit = false;
  features.candidates = CandidateRule::kVee21;
  features.ipi = IpiModelKind::kV2;
  features.deboost = Deboost::kPast;
  return features;
}

// eCS (ATC 2018), pvsched (2023).
constexpr Features critical() {
  Features features = mainline_yield();
  features.candidates = CandidateRule::kCritical;
  features.extend = Extend::kCritical;
  return features;
}

// Kim et al., ASPLOS 2013. All receivers of a send are remembered, with those of a broadcast.
constexpr Features cosched_ipi() {
  Features features = mainline_yield();
  features.ipi = IpiModelKind::kKvmux;
  features.urgent = true;
  return features;
}

constexpr std::array kPresets{
    Preset{"vee21", "yield to the receiver of one's last IPI; the yielder goes behind its target (VEE 2021)", vee21()},
    Preset{"critical", "yield to owners that the guest publishes, which also end what they own first (eCS, 2018)",
           critical()},
    Preset{"cosched-ipi", "an IPI's receivers run first and shortly, its sender until they have (ASPLOS 2013)",
           cosched_ipi()},
};

}  // namespace

std::span<const Preset> rivals_presets() { return kPresets; }

}  // namespace sched
