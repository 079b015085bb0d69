// Co-scheduling.
#include <array>

#include "sched/policy/presets/common.h"
#include "sched/policy/presets/list.h"

namespace sched {
namespace {

constexpr std::array kPresets{
    Preset{"gang", "co-schedules all vCPUs of a VM", with_queue(QueueKind::kGang)},
};

}  // namespace

std::span<const Preset> gang_presets() { return kPresets; }

}  // namespace sched
