// The files that presets come from, one function each: declared here, listed in presets.cc. A preset of one's
// own is a file and these two lines. Any thread.
#pragma once

#include <span>

#include "sched/policy/policy.h"

namespace sched {

std::span<const Preset> queues_presets();
std::span<const Preset> linux_presets();
std::span<const Preset> series_presets();
std::span<const Preset> kvmux_presets();
std::span<const Preset> gang_presets();
std::span<const Preset> host_presets();

}  // namespace sched
