// Puts a policy into a setup and refuses what cannot run together.
#include "vmm/cli/spec.h"
#include "vmm/run/setup.h"

namespace vmm {

Result<RunSpec> with_policy(const Setup& setup, const sched::Policy& policy) {
  RunSpec spec = setup.spec;
  for (size_t i = 0; i < spec.vms.size(); ++i) {
    if (setup.takes_policy[i]) spec.vms[i].policy = policy;
  }
  if (const auto checked = check_together(spec); !checked) return tl::unexpected(checked.error());
  if (spec.vms.front().policy.features.queue == sched::QueueKind::kHostKvm) spec.irqchip = Irqchip::kSplit;
  return spec;
}

}  // namespace vmm
