// Spin detection by sampling: what is sampled has run.
#include "tests/kvm/real_run.h"

using namespace kvm_test;
using namespace vmm;

namespace {

// Every vCPU stands in a PAUSE loop for ever.
GUEST_CODE(spins, GUEST_SAYS_RUNNING GUEST_TO_USER(0x202) "1: pause\n jmp 1b");

// Of all vCPUs of two VMs; each is compared with how often it came out.
uint64_t sampled_in(const std::string& policy, uint32_t workers, Nanos duration) {
  const GuestFile guest(spins());
  RunSpec spec = short_run(duration);
  spec.workers = workers;
  spec.spin_detect = SpinDetect::kSample;
  for (int vm = 0; vm < 2; ++vm) add_vm(spec, guest.path(), 4, policy.c_str());
  const RunResult result = run_it(spec);
  uint64_t sampled = 0;
  for (const VmResult& vm : result.vms) {
    CHECK(vm.failure == "");
    for (const VcpuResult& vcpu : vm.vcpus) {
      sampled += vcpu.sched.spin_exits;
      CHECK(vcpu.sched.spin_exits <= vcpu.kicks + vcpu.exits);
    }
  }
  return sampled;
}

}  // namespace

TEST_CASE("sampling finds no more spin exits than vCPUs came out of the guest") {
  REQUIRE_KVM(system);
  constexpr Nanos kMost = ms(3'000);  // a busy host leaves few turns
  for (const std::string policy : {"yield", "v2", "kvmux"}) {
    for (const uint32_t workers : {1u, 2u}) {
      CAPTURE(policy);
      CAPTURE(workers);
      uint64_t sampled = 0;
      for (Nanos duration = ms(200); sampled == 0 && duration < kMost; duration *= 2)
        sampled = sampled_in(policy, workers, duration);
      CHECK(sampled > 0);
    }
  }
}
