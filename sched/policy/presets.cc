// All presets, in the order in which they are listed.
#include <vector>

#include "sched/policy/presets/list.h"

namespace sched {
namespace {

std::vector<Preset> collect() {
  std::vector<Preset> all;
  const auto add = [&all](std::span<const Preset> family) {
    all.insert(all.end(), family.begin(), family.end());
  };
#define SCHED_PRESETS_ADDED(name) add(name##_presets());
  SCHED_PRESET_FILES(SCHED_PRESETS_ADDED)
#undef SCHED_PRESETS_ADDED
  return all;
}

}  // namespace

std::span<const Preset> presets() {
  static const std::vector<Preset> all = collect();
  return all;
}

}  // namespace sched
