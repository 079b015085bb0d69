// What a VM weighs, or a group of VMs, by how much of it there is to run. Holds for a whole run.
// Source: Linux 7.3's modes of group weights; until 7.2 there was kSmp alone.
#pragma once

#include <algorithm>
#include <cstdint>

namespace sched {

enum class VmShare : uint8_t {
  kSmp,     // its weight in all, dealt out to workers by load
  kUp,      // its weight on each worker where it has anything to run
  kConcur,  // its weight times as many of its vCPUs as can run at once; Linux 7.3's default
  kMax,     // its weight times the workers, at most Linux' highest weight
  kTasks,   // its weight times its runnable vCPUs
};

// How much a VM of `vcpus` runnable vCPUs is entitled to on so many workers, as a multiple of its weight: what
// fairness is measured against. With kUp that depends on where its vCPUs are: as if they were spread.
constexpr int64_t entitlement_factor(VmShare mode, int64_t vcpus, int64_t workers) {
  switch (mode) {
    case VmShare::kSmp:
    case VmShare::kMax:
      return 1;
    case VmShare::kUp:
    case VmShare::kConcur:
      return std::min(vcpus, workers);
    case VmShare::kTasks:
      return vcpus;
  }
  return 1;
}

}  // namespace sched
