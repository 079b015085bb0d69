// Guests of both privilege levels side by side.
#include <array>

#include "tests/kvm/real_run.h"

using namespace kvm_test;
using namespace vmm;

TEST_CASE("VMs of both rings in one run: each is calibrated for its own, whatever their order") {
  REQUIRE_KVM(system);
  // Where CPL 0 is interpreted, its loops are thousands of times slower: with the other ring's figures a
  // guest finished nothing at all, or did its work in no time.
  for (const std::array<uint32_t, 2> rings : {std::array{3u, 0u}, std::array{0u, 3u}}) {
    CAPTURE(rings[0]);
    RunSpec spec = short_run(ms(300));
    for (const uint32_t ring : rings) {
      add_vm(spec, "compute", 1, "yield");
      spec.vms.back().ring = ring;
    }
    const RunResult result = run_it(spec);
    for (const VmResult& vm : result.vms) {
      check_healthy(vm);
      const VcpuResult& vcpu = vm.vcpus[0];
      const double useful = std::chrono::duration<double>(vcpu.work_time).count() /
                            std::chrono::duration<double>(vcpu.ledger.guest).count();
      CHECK(useful > 0.1);  // the host may slow down by half
      CHECK(useful < 10);
    }
  }
}
