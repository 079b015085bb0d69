// Run queues that leave spin exits alone.
#include <array>

#include "sched/policy/presets/common.h"
#include "sched/policy/presets/list.h"

namespace sched {
namespace {

constexpr std::array kPresets{
    Preset{"rr", "round robin with a fixed slice; spin exits do nothing", with_queue(QueueKind::kRoundRobin)},
    Preset{"fair", "EEVDF; spin exits do nothing", with_queue(QueueKind::kEevdf)},
};

}  // namespace

std::span<const Preset> queues_presets() { return kPresets; }

}  // namespace sched
