// Spin detection by sampling: what is sampled has run.
#include "tests/kvm/real_run.h"
#include "vmm/stats/site_figures.h"

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

TEST_CASE("sampling says where vCPUs spin and where their turns end: a function, or an address") {
  REQUIRE_KVM(system);
  const GuestFile nameless(spins());
  for (Nanos duration = ms(300); ; duration *= 2) {
    RunSpec spec = short_run(duration);
    spec.workers = 1;
    spec.spin_detect = SpinDetect::kSample;
    add_vm(spec, "lock", 4, "yield");
    add_vm(spec, nameless.path(), 2, "yield");
    const RunResult result = run_it(spec);
    bool all_seen = true;
    for (const VmResult& vm : result.vms) {
      CHECK(vm.failure == "");
      uint64_t spin_exits = 0;
      uint64_t preemptions = 0;
      for (const VcpuResult& vcpu : vm.vcpus) {
        spin_exits += vcpu.sched.spin_exits;
        preemptions += vcpu.sched.preemptions;
      }
      CHECK(samples_of(vm.spinning) == spin_exits);
      CHECK(samples_of(vm.taken_off) <= preemptions);
      all_seen = all_seen && spin_exits > 0 && samples_of(vm.taken_off) > 0;
    }
    if (!all_seen && duration < ms(3'000)) continue;  // a busy host leaves few turns
    REQUIRE(all_seen);
    const CodeSites& lock = result.vms[0].spinning;
    CHECK(lock.sites.front().symbol == "spin_turns");
    for (const CodeSite& site : result.vms[1].spinning.sites) {
      CHECK(site.symbol.empty());
      CHECK(site.address >= 0x100000);
      CHECK(site.address < 0x101000);
    }
    return;
  }
}

TEST_CASE("without sampling nobody looks where a tiny guest stands") {
  REQUIRE_KVM(system);
  RunSpec spec = short_run(ms(200));
  spec.workers = 1;
  add_vm(spec, "lock", 4, "yield");
  const RunResult result = run_it(spec);
  CHECK(result.vms[0].spinning.sites.empty());
  CHECK(result.vms[0].taken_off.sites.empty());
}

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
