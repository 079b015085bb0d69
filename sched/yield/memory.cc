#include "sched/yield/memory.h"

namespace sched {

VmYields::VmYields(const VmInfo& vm)
    : ipi(make_ipi_model(vm.policy.features.ipi, vm.size, vm.policy.tuning.ipi_window)),
      handovers(HandoverScore::Config{}) {}

YieldMemory::YieldMemory(const std::vector<VmInfo>& vms, uint32_t workers, uint32_t vcpus)
    : vcpus_(vcpus), workers_(workers), after_donation_(new std::atomic<bool>[vcpus]()) {
  for (const VmInfo& vm : vms) vms_.emplace_back(vm);
}

}  // namespace sched
