// Identifiers that the host side adds to the scheduler's. Value types, any thread.
#pragma once

#include <cstdint>

#include "sched/base/types.h"

namespace vmm {

using sched::index_of;
using sched::VmId;

// Index of a vCPU inside its VM: the guest's numbering, and here the APIC id as well. The scheduler's VcpuId
// is dense over all VMs instead.
enum class VcpuIndex : uint32_t {};

}  // namespace vmm
