// Routes interrupt messages to local APICs: which of them a destination names, lowest-priority arbitration,
// and what each delivery mode does on arrival.
//
// Any thread may call deliver(), any number at a time: it only uses the [any] half of Lapic. It posts first
// and calls on_accepted(index) after, so that the callback can read the target's run state and kick it (the
// poster's half of the protocol in lapic.h).
//
// `targets` is one VM's Lapics, none null, ids unique. Physical unicast and x2APIC logical destinations cost
// no scan where targets[i]->id() == i.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <utility>

#include "apic/lapic.h"
#include "apic/types.h"

namespace apic {

using Targets = std::span<Lapic* const>;

struct DeliveryReport {
  unsigned accepted = 0;  // targets that took the interrupt, merged ones included
};

// From a vCPU's ICR or SELF IPI register. `on_accepted(TargetIndex)` runs once for each target that now has
// something to look at: it took the interrupt, or an illegal vector raised its error interrupt (not in
// `accepted`).
template <class OnAccepted>
DeliveryReport deliver(Targets targets, const IpiRequest& request, TargetIndex source,
                       OnAccepted&& on_accepted);

// From an IOAPIC or an MSI. A level-triggered source looks at `accepted` to set its remote IRR.
template <class OnAccepted>
DeliveryReport deliver(Targets targets, const InterruptMessage& message, OnAccepted&& on_accepted);

// Whom the request names now, in the order of delivery: `visit(TargetIndex)`. Posts nothing; deliver() may find
// otherwise if a target reprograms its APIC in between. Not for lowest priority, where arbitration decides.
template <class Visit>
void for_each_named(Targets targets, const IpiRequest& request, TargetIndex source, Visit&& visit);

// ---- Implementation -------------------------------------------------------------------------------------

namespace internal {

enum class Arrival : std::uint8_t { kIgnored, kAccepted, kErrorOnly };

// What the message does at an APIC it is addressed to.
Arrival arrive(Lapic& target, const InterruptMessage& message);

// Position of the APIC with this id, if there is one.
std::optional<std::size_t> find_id(Targets targets, std::uint32_t id);

// The winner of lowest-priority arbitration among those the request names.
std::optional<std::size_t> arbitrate(Targets targets, const IpiRequest& request,
                                     std::optional<std::size_t> source);

// Calls visit(position) for each APIC the request names.
template <class Visit>
void for_each_named(Targets targets, const IpiRequest& request, std::optional<std::size_t> source,
                    Visit&& visit) {
  const InterruptMessage& m = request.message;
  const auto scan = [&](auto&& named) {
    for (std::size_t i = 0; i < targets.size(); ++i) {
      if (named(i)) visit(i);
    }
  };
  // A hardware-disabled APIC is not on the bus.
  const auto present = [&](std::size_t i) { return targets[i]->mode() != ApicMode::kDisabled; };
  const auto visit_id = [&](std::uint32_t id) {
    const auto i = find_id(targets, id);
    if (i && targets[*i]->matches(m)) visit(*i);
  };
  switch (request.shorthand) {
    case Shorthand::kSelf:
      if (source) visit(*source);
      return;
    case Shorthand::kAllIncludingSelf:
      return scan(present);
    case Shorthand::kAllExcludingSelf:
      return scan([&](std::size_t i) { return i != source && present(i); });
    case Shorthand::kNone:
      break;
  }
  const bool wide = m.width == DestWidth::kWide;
  if (m.destination == (wide ? 0xffffffffu : 0xffu)) return scan(present);
  if (m.dest_mode == DestMode::kPhysical) return visit_id(m.destination);
  if (!wide) return scan([&](std::size_t i) { return targets[i]->matches(m); });
  // x2APIC logical: a cluster of 16 consecutive ids and a mask of its members.
  for (std::uint32_t member = 0; member < 16; ++member) {
    if (m.destination >> member & 1) visit_id((m.destination >> 16) * 16 + member);
  }
}

template <class OnAccepted>
DeliveryReport route(Targets targets, const IpiRequest& request, std::optional<std::size_t> source,
                     OnAccepted&& on_accepted) {
  DeliveryReport report;
  const auto hit = [&](std::size_t i) {
    const Arrival arrival = arrive(*targets[i], request.message);
    if (arrival == Arrival::kAccepted) ++report.accepted;
    if (arrival != Arrival::kIgnored) on_accepted(TargetIndex(i));
  };
  if (request.message.delivery == DeliveryMode::kLowestPriority) {
    if (const auto winner = arbitrate(targets, request, source)) hit(*winner);
  } else {
    for_each_named(targets, request, source, hit);
  }
  return report;
}

}  // namespace internal

template <class OnAccepted>
DeliveryReport deliver(Targets targets, const IpiRequest& request, TargetIndex source,
                       OnAccepted&& on_accepted) {
  require(raw(source) < targets.size());
  return internal::route(targets, request, raw(source), std::forward<OnAccepted>(on_accepted));
}

template <class Visit>
void for_each_named(Targets targets, const IpiRequest& request, TargetIndex source, Visit&& visit) {
  require(raw(source) < targets.size());
  internal::for_each_named(targets, request, raw(source), [&](std::size_t i) { visit(TargetIndex(i)); });
}

template <class OnAccepted>
DeliveryReport deliver(Targets targets, const InterruptMessage& message, OnAccepted&& on_accepted) {
  return internal::route(targets, IpiRequest{message, Shorthand::kNone}, std::nullopt,
                         std::forward<OnAccepted>(on_accepted));
}

}  // namespace apic
