// What Linux does on a spin exit, 6.19 and 7.3, and a reviewer's counter-proposal.
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

// The directed yield is the same; what it acts on is not.
constexpr Features linux_7_3() {
  Features features = mainline_yield();
  features.levels = QueueLevels::kFlat;
  features.vm_share = VmShare::kConcur;
  return features;
}

constexpr std::array kPresets{
    Preset{"yield", "EEVDF and directed yield with next buddy and forfeit: Linux 6.19", mainline_yield()},
    Preset{"linux-6.19", "yield, by the kernel that it rebuilds", mainline_yield()},
    Preset{"linux-7.3", "yield on a flat run queue, where a VM weighs as many times as it can run vCPUs at once",
           linux_7_3()},
    Preset{"hier", "yield + proportional forfeit up the group hierarchy", hier()},
};

}  // namespace

std::span<const Preset> linux_presets() { return kPresets; }

}  // namespace sched
