// A thread per vCPU, none of our run queues.
#include <array>

#include "sched/policy/presets/common.h"
#include "sched/policy/presets/list.h"

namespace sched {
namespace {

constexpr std::array kPresets{
    Preset{"host", "a thread per vCPU, the host's scheduler decides; spin exits do nothing",
           with_queue(QueueKind::kHost)},
    Preset{"host-yield", "a thread per vCPU with sched_yield() on a spin exit",
           with_queue(QueueKind::kHostYield)},
    Preset{"host-kvm", "a thread per vCPU with KVM's own local APIC and PAUSE-loop handling",
           with_queue(QueueKind::kHostKvm)},
};

}  // namespace

std::span<const Preset> host_presets() { return kPresets; }

}  // namespace sched
