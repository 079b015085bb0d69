// All presets, in the order in which they are listed.
#include <array>
#include <vector>

#include "sched/policy/presets/list.h"

namespace sched {
namespace {

constexpr std::array kFamilies{
    queues_presets, linux_presets, series_presets, kvmux_presets, gang_presets, host_presets,
};

std::vector<Preset> collect() {
  std::vector<Preset> all;
  for (const auto family : kFamilies) {
    const std::span<const Preset> presets = family();
    all.insert(all.end(), presets.begin(), presets.end());
  }
  return all;
}

}  // namespace

std::span<const Preset> presets() {
  static const std::vector<Preset> all = collect();
  return all;
}

}  // namespace sched
