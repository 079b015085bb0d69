// Many VMs of one vCPU on two workers: how long the last one waits, on real KVM. The bound is
// sched/README.md's: n vCPUs a worker, two rounds of the longest turn (one under round robin), plus what the
// host took of the workers, which it charges to nobody and no scheduler can give back. tests/sim/property_crowd_test.cc
// holds the same without a host.
//
//   KVMUX_CROWD  VMs, instead of 64; 200 are what it was found with
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "tests/kvm/real_run.h"

using namespace kvm_test;
using namespace vmm;

namespace {

constexpr uint32_t kWorkers = 2;
// A turn is longer than it was asked to be by the way out of the guest and into the next, and by what the
// host's timer is late.
constexpr Nanos kLate{500'000};

uint32_t crowd() {
  const char* given = std::getenv("KVMUX_CROWD");
  return given != nullptr ? static_cast<uint32_t>(std::strtoul(given, nullptr, 10)) : 64;
}

// The longest wait of one of `each` vCPUs of equal weight on a worker that nobody takes away.
Nanos bound_of(const sched::Policy& policy, uint32_t each) {
  const sched::Tuning& tuning = policy.tuning;
  Nanos turn = tuning.slice * tuning.quantum_multiplier;
  if (tuning.latency_target > Nanos{})
    turn = std::min(turn, std::max(tuning.min_slice, tuning.latency_target / each));
  if (policy.features.queue != sched::QueueKind::kEevdf) return each * (turn + kLate);
  return 2 * each * (turn * (1000 + tuning.slice_jitter_permille) / 1000 + kLate);
}

struct Seen {
  Nanos longest{};
  Nanos taken{};      // of all workers, by the host
  uint32_t idle = 0;  // VMs without any work done
};

Seen run_crowd(const char* policy, Nanos length) {
  RunSpec spec = short_run(length);
  spec.workers = kWorkers;
  for (uint32_t i = 0; i < crowd(); ++i) add_vm(spec, "compute", 1, policy);
  const RunResult result = run_it(spec);
  Seen seen;
  for (const VmResult& vm : result.vms) {
    CHECK(vm.failure == "");
    const VcpuResult& vcpu = vm.vcpus[0];
    seen.longest = std::max(seen.longest, vcpu.sched.worst_wait);
    seen.taken += vcpu.ledger.stolen;
    seen.idle += vcpu.operations == 0 ? 1 : 0;
  }
  return seen;
}

void check_bound(const char* name) {
  const uint32_t each = (crowd() + kWorkers - 1) / kWorkers;
  const Nanos bound = bound_of(*sched::parse_policy(name), each);
  const Nanos window = 2 * bound + ms(100);
  const Seen seen = run_crowd(name, window);
  const std::string what = fmt::format(
      "{}, {} vCPUs a worker: the longest wait {:.0f} ms, the bound {:.0f} ms and {:.0f} ms "
      "that the host took; {} VMs did nothing in {:.0f} ms",
      name, each, static_cast<double>(seen.longest.count()) / 1e6, static_cast<double>(bound.count()) / 1e6,
      static_cast<double>(seen.taken.count()) / 1e6, seen.idle, static_cast<double>(window.count()) / 1e6);
  MESSAGE(what);
  CHECK_MESSAGE(seen.longest <= bound + seen.taken, what);
  // Whoever waits no longer than half of the window has had a turn in it.
  if (seen.taken < bound) CHECK_MESSAGE(seen.idle == 0, what);
}

}  // namespace

TEST_CASE("of many VMs on two workers none waits longer than its preset's bound") {
  REQUIRE_KVM(system);
  REQUIRE_STEADY_HOST();
  for (const char* policy : {"kvmux", "fair", "rr", "yield"}) check_bound(policy);
}
