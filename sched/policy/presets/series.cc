// The v2 and v3 series for oversubscribed KVM, whole and in parts.
#include <array>

#include "sched/policy/presets/common.h"
#include "sched/policy/presets/list.h"

namespace sched {
namespace {

constexpr Features deboost() {
  Features features = mainline_yield();
  features.deboost = Deboost::kOn;
  return features;
}

// Faithful to the series, its faults included: the relaxed round inherits the tries of the strict one, and an
// attempt that is rejected later on uses up the rate limit all the same.
constexpr Features v2() {
  Features features = ipi_aware(IpiModelKind::kV2);
  features.deboost = Deboost::kOn;
  features.reset_tries = false;
  features.rate_limit_first = true;
  return features;
}

constexpr Features v3() {
  Features features = ipi_aware(IpiModelKind::kV3);
  features.credit = true;
  return features;
}

constexpr std::array kPresets{
    Preset{"deboost", "yield + vruntime penalty on the yielder (the series' first half)", deboost()},
    Preset{"ipi", "yield to awaited IPI receivers first (the series' second half)",
           ipi_aware(IpiModelKind::kV2)},
    Preset{"v2", "deboost + ipi: the v2 series, faults included", v2()},
    Preset{"v3", "IPI tracking by vector + lag credit to the target", v3()},
};

}  // namespace

std::span<const Preset> series_presets() { return kPresets; }

}  // namespace sched
