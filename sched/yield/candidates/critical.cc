// candidates=critical: who is inside a critical section, as its guest publishes; without one, mainline's choice.
#include "sched/yield/scan.h"

namespace sched {

std::optional<uint32_t> candidates::critical(Scan& scan) {
  const GuestPages& pages = scan.spin().pages;
  if (pages.empty()) return mainline(scan);
  const auto owner = scan.round([&](uint32_t index, Status::View) -> std::optional<YieldReason> {
    if (GuestPage::load(pages[index].critical) == 0) return std::nullopt;
    return YieldReason::kOwner;
  });
  return owner ? owner : mainline(scan);
}

}  // namespace sched
