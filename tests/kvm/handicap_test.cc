// A planted handicap costs its share of the work.
#include "tests/kvm/real_run.h"

using namespace kvm_test;
using namespace vmm;

namespace {

double work(const VmResult& vm) {
  double sum = 0;
  for (const VcpuResult& vcpu : vm.vcpus) sum += static_cast<double>(vcpu.operations);
  return sum;
}

}  // namespace

TEST_CASE("a VM with a handicap of two thirds does a third of the other's work") {
  REQUIRE_KVM(system);
  for (const char* policy : {"fair", "kvmux"}) {
    CAPTURE(policy);
    RunSpec spec = short_run(ms(400));
    for (int i = 0; i < 2; ++i) add_vm(spec, "compute", 2, policy);
    spec.vms[1].handicap_percent = 67;
    const RunResult result = run_it(spec);
    for (const VmResult& vm : result.vms) check_healthy(vm);
    const double share = work(result.vms[1]) / work(result.vms[0]);
    CHECK(share > 0.15);
    CHECK(share < 0.6);  // one without is at 1
  }
}
