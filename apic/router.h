// Routes interrupt messages to local APICs: which of them a destination names, lowest-priority
// arbitration, and what each delivery mode does on arrival.
//
// Any thread may call deliver(), any number at a time: it only uses the [any] half of Lapic. It posts first
// and calls on_accepted(index) after, so that the callback can read the target's run state and kick it
// (the poster's half of the protocol in lapic.h).
//
// `targets` is one VM's Lapics, ids unique. Physical unicast is O(1) where targets[i]->id() == i.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "apic/lapic.h"
#include "apic/types.h"

namespace apic {

struct DeliveryReport {
  unsigned accepted = 0;  // targets that took the interrupt, merged ones included
};

// From a vCPU's ICR or SELF IPI register. `on_accepted(TargetIndex)` runs once for each target that now has
// something to look at: it took the interrupt, or an illegal vector raised its error interrupt (not in
// `accepted`).
template <class OnAccepted>
DeliveryReport deliver(std::span<Lapic* const> targets, const IpiRequest& request, TargetIndex source,
                       OnAccepted&& on_accepted);

// From an IOAPIC or an MSI. A level-triggered source looks at `accepted` to set its remote IRR.
template <class OnAccepted>
DeliveryReport deliver(std::span<Lapic* const> targets, const InterruptMessage& message,
                       OnAccepted&& on_accepted);

}  // namespace apic
