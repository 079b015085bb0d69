// A planted handicap is burnt outside the guest, under our workers and under the host's threads.
#include "tests/kvm/real_run.h"

using namespace kvm_test;
using namespace vmm;

namespace {

// Share of the time outside the guest in the time with a CPU.
double burnt(const VmResult& vm) {
  double outside = 0;
  double all = 0;
  for (const VcpuResult& vcpu : vm.vcpus) {
    const Ledger& l = vcpu.ledger;
    outside += static_cast<double>((l.exits + l.injection + l.migration).count());
    all += static_cast<double>((l.exits + l.injection + l.migration + l.guest + l.spinning).count());
  }
  return all > 0 ? outside / all : 0;
}

}  // namespace

TEST_CASE("half of a handicapped VM's time is burnt, and nothing of the other's") {
  REQUIRE_KVM(system);
  for (const char* policy : {"fair", "host"}) {
    CAPTURE(policy);
    RunSpec spec = short_run(ms(300));
    for (int i = 0; i < 2; ++i) add_vm(spec, "compute", 2, policy);
    spec.vms[1].handicap_percent = 50;
    const RunResult result = run_it(spec);
    CHECK(burnt(result.vms[0]) < 0.1);
    CHECK(burnt(result.vms[1]) > 0.4);
    CHECK(burnt(result.vms[1]) < 0.6);
  }
}
