// candidates=vee21: Ishiguro et al. 2021. The receiver of the yielder's last IPI; without one, mainline's choice.
#include "sched/yield/scan.h"

namespace sched {

std::optional<uint32_t> candidates::vee21(Scan& scan) {
  const auto receiver = scan.round([&](uint32_t index, Status::View) -> std::optional<YieldReason> {
    const SpinScan& spin = scan.spin();
    if (spin.ipi == nullptr || !spin.ipi->awaits(spin.me, index, spin.now)) return std::nullopt;
    return YieldReason::kIpiReceiver;
  });
  return receiver ? receiver : mainline(scan);
}

}  // namespace sched
