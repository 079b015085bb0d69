// A guest that is told how many of its vCPUs run, on real KVM.
#include "tests/kvm/real_run.h"

using namespace kvm_test;
using namespace vmm;

namespace {

// Of a VM that has one worker: time in PAUSE for each spin exit, in spin windows.
double windows_an_exit(const char* policy) {
  RunSpec spec = short_run(ms(300));
  spec.workers = 1;
  add_vm(spec, "ipi", 2, policy);
  const RunResult result = run_it(spec);
  check_healthy(result.vms[0]);
  double pauses = 0;
  double exits = 0;
  for (const VcpuResult& vcpu : result.vms[0].vcpus) {
    pauses += static_cast<double>(vcpu.spin_pauses);
    exits += static_cast<double>(vcpu.sched.spin_exits);
  }
  CHECK(exits > 50);
  const double window_ms = static_cast<double>(result.spin_window.count()) / 1e6;
  return pauses / exits / (window_ms * result.pauses_per_ms);
}

}  // namespace

TEST_CASE("a vCPU that is alone and is told so rings after an eighth of its spin window") {
  REQUIRE_KVM(system);
  CHECK(windows_an_exit("yield") > 0.9);
  const double told = windows_an_exit("yield,running-hint=on");
  CHECK(told > 0.1);
  CHECK(told < 0.3);
}
