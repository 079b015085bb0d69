// What Linux 6.19 does on a spin exit, and a reviewer's counter-proposal.
#include <array>

#include "sched/policy/presets/common.h"
#include "sched/policy/presets/list.h"

namespace sched {
namespace {

constexpr Features hier() {
  Features features = mainline_yield();
  features.hier = true;
  return features;
}

constexpr std::array kPresets{
    Preset{"yield", "EEVDF and directed yield with next buddy and forfeit: Linux 6.19", mainline_yield()},
    Preset{"hier", "yield + proportional forfeit up the group hierarchy", hier()},
};

}  // namespace

std::span<const Preset> linux_presets() { return kPresets; }

}  // namespace sched
