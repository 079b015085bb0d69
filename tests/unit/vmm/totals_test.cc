// Sums over vCPUs.
#include <doctest/doctest.h>

#include "vmm/stats/metrics.h"

namespace vmm {

using namespace std::chrono_literals;

TEST_CASE("steal by the ledger is waiting and what the host took, of all vCPUs, and nothing else") {
  VmResult vm;
  vm.vcpus.resize(2);
  vm.vcpus[0].ledger = {.guest = 50ms, .waiting = 3ms, .halted = 100ms, .exits = 7ms, .stolen = 1ms};
  vm.vcpus[1].ledger = {.waiting = 5ms, .migration = 2ms, .stopped = 4ms};
  CHECK(ledger_steal(vm) == 9ms);
}

}  // namespace vmm
