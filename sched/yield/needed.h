// Whom a waiting vCPU needs, as its guest publishes it: those that would end its wait by running, directly or
// at the end of a chain of waits. Exact where a guest publishes exactly; guesses nothing.
//
// Any thread, no lock; O(n²) in the vCPUs of the VM at worst, O(n) where nobody needed waits itself.
#pragma once

#include <bitset>

#include "sched/base/guest_page.h"

namespace sched {

using VcpuBits = std::bitset<kMaxVcpusOfVm>;

// Does it wait, as far as it says? Who has been handed the lock that it waits for does not, though it may not
// have seen that yet.
bool waits(const GuestPage& page);

// By index; empty where the guest publishes nothing, or it does not wait.
VcpuBits needed_by(const GuestPages& pages, uint32_t waiter);

// Those alone whose acknowledgement it awaits, though it may not have begun to wait.
VcpuBits awaited_by(const GuestPages& pages, uint32_t sender);

}  // namespace sched
