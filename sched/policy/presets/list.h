// The files that presets come from, a line each, in the order in which presets are listed: NAME.cc gives
// NAME_presets(). A preset of one's own is a file and a line. Any thread.
#pragma once

#include <span>

#include "sched/policy/policy.h"

// clang-format off
#define SCHED_PRESET_FILES(file) \
  file(queues) \
  file(linux) \
  file(series) \
  file(rivals) \
  file(kvmux) \
  file(gang) \
  file(host)
// clang-format on

namespace sched {

#define SCHED_PRESETS_DECLARED(name) std::span<const Preset> name##_presets();
SCHED_PRESET_FILES(SCHED_PRESETS_DECLARED)
#undef SCHED_PRESETS_DECLARED

}  // namespace sched
