#include "apic/router.h"

namespace apic::internal {

Arrival arrive(Lapic& target, const InterruptMessage& message) {
  switch (message.delivery) {
    case DeliveryMode::kFixed:
    case DeliveryMode::kLowestPriority:
      switch (target.post(message.vector, message.trigger)) {
        case Lapic::Post::kRejected:
          return Arrival::kIgnored;
        case Lapic::Post::kAccepted:
          return Arrival::kAccepted;
        case Lapic::Post::kError:
          return Arrival::kErrorOnly;
      }
      return Arrival::kIgnored;
    case DeliveryMode::kNmi:
      target.post_nmi();
      return Arrival::kAccepted;
    case DeliveryMode::kInit:
      // The level de-assert synchronized arbitration ids on the P6's bus; it does nothing to a processor.
      if (!message.assert_level) return Arrival::kIgnored;
      target.post_init();
      return Arrival::kAccepted;
    case DeliveryMode::kStartUp:
      target.post_sipi(message.vector);
      return Arrival::kAccepted;
    // There is no SMM here. An ExtINT asks the target to fetch a vector from the 8259, which is wired to
    // LINT0 instead.
    case DeliveryMode::kSmi:
    case DeliveryMode::kExtInt:
    case DeliveryMode::kReserved3:
      return Arrival::kIgnored;
  }
  return Arrival::kIgnored;
}

std::optional<std::size_t> find_id(Targets targets, std::uint32_t id) {
  if (id < targets.size() && targets[id]->id() == ApicId(id)) return id;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (targets[i]->id() == ApicId(id)) return i;
  }
  return std::nullopt;
}

// The lowest processor priority wins (SDM, Lowest Priority Delivery Mode). Among equals the vector chooses,
// so that one source keeps to one target while different sources spread. Priorities may move between the two
// passes: then any APIC that was a candidate is as good.
std::optional<std::size_t> arbitrate(Targets targets, const IpiRequest& request,
                                     std::optional<std::size_t> source) {
  unsigned lowest = 256;
  unsigned ties = 0;
  std::optional<std::size_t> winner;
  for_each_named(targets, request, source, [&](std::size_t i) {
    if (!targets[i]->software_enabled()) return;
    const unsigned priority = targets[i]->processor_priority();
    if (priority < lowest) {
      lowest = priority;
      ties = 0;
      winner = i;
    }
    if (priority == lowest) ++ties;
  });
  if (ties < 2) return winner;
  unsigned skip = raw(request.message.vector) % ties;
  bool chosen = false;
  for_each_named(targets, request, source, [&](std::size_t i) {
    if (chosen || !targets[i]->software_enabled() || targets[i]->processor_priority() > lowest) return;
    winner = i;
    chosen = skip-- == 0;
  });
  return winner;
}

}  // namespace apic::internal
