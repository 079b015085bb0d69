// Guests that publish what they own and wait for, that are told when they run, and that sleep for a lock: on real
// KVM.
#include <numeric>

#include "tests/kvm/real_run.h"

using namespace kvm_test;
using namespace vmm;

namespace {

RunResult contended(const char* policy, uint32_t lock_kind, Nanos duration = ms(300)) {
  RunSpec spec = short_run(duration);
  spec.judges_yields = true;
  for (int vm = 0; vm < 2; ++vm) add_vm(spec, "lock", 4, policy).workload.lock_kind = lock_kind;
  const RunResult result = run_it(spec);
  for (const VmResult& vm : result.vms) check_healthy(vm);
  return result;
}

sched::VcpuStats sum_of(const RunResult& result) {
  sched::VcpuStats sum;
  for (const VmResult& vm : result.vms) {
    for (const VcpuResult& vcpu : vm.vcpus) {
      sum.right_possible += vcpu.sched.right_possible;
      sum.extensions += vcpu.sched.extensions;
      sum.urged += vcpu.sched.urged;
      sum.wakeups += vcpu.sched.wakeups;
      sum.times.halted += vcpu.sched.times.halted;
      for (size_t i = 0; i < sched::kYieldReasons; ++i) {
        sum.yields_done[i] += vcpu.sched.yields_done[i];
        sum.yields_right[i] += vcpu.sched.yields_right[i];
      }
    }
  }
  return sum;
}

template <class Counts>
uint64_t all(const Counts& counts) {
  return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
}

}  // namespace

TEST_CASE("who waits for a PV lock sleeps and is woken, and the lock is never owned twice") {
  REQUIRE_KVM(system);
  const sched::VcpuStats sum = sum_of(contended("fair", KVMUX_LOCK_PV));
  CHECK(sum.wakeups > 20);
  CHECK(sum.times.halted > Nanos{});
}

TEST_CASE("a real guest publishes who owns its locks: owners are found, and the oracle's choice is right") {
  REQUIRE_KVM(system);
  const auto owner = static_cast<size_t>(sched::YieldReason::kOwner);
  for (const uint32_t kind : {KVMUX_LOCK_TICKET, KVMUX_LOCK_MCS}) {
    CAPTURE(kind);
    sched::VcpuStats critical;
    for (Nanos duration = ms(300); critical.yields_done[owner] == 0 && duration < ms(5'000); duration *= 2)
      critical = sum_of(contended("critical", kind, duration));
    CHECK(critical.yields_done[owner] > 0);
    CHECK(critical.right_possible > 0);
    const sched::VcpuStats oracle = sum_of(contended("oracle,pack=off,affinity=off,extend=off", kind));
    REQUIRE(oracle.right_possible > 0);
    // Whoever is needed may leave its queue between the look and the attempt.
    CHECK(static_cast<double>(all(oracle.yields_right)) > 0.8 * static_cast<double>(oracle.right_possible));
    CHECK(oracle.yields_right[owner] >= oracle.yields_done[owner] * 9 / 10);
  }
}

TEST_CASE("turns that end inside a critical section go on, for those who are in one and for those who ask") {
  REQUIRE_KVM(system);
  for (const char* policy : {"fair,slice=1ms,extend=critical", "fair,slice=1ms,extend=asked"}) {
    CAPTURE(policy);
    CHECK(sum_of(contended(policy, KVMUX_LOCK_TTAS)).extensions > 0);
  }
  CHECK(sum_of(contended("fair,slice=1ms", KVMUX_LOCK_TTAS)).extensions == 0);
}

TEST_CASE("guests that are told when they run go on as ever") {
  REQUIRE_KVM(system);
  contended("yield,slice=1ms,tell-preempted=on,tell-turn-end=on", KVMUX_LOCK_TTAS);
  contended("kvmux,tell-preempted=on,tell-turn-end=on", KVMUX_LOCK_TICKET);
}

TEST_CASE("receivers of IPIs are made urgent") {
  REQUIRE_KVM(system);
  RunSpec spec = short_run(ms(300));
  for (int vm = 0; vm < 2; ++vm) add_vm(spec, "ipi", 4, "cosched-ipi");
  const RunResult result = run_it(spec);
  for (const VmResult& vm : result.vms) check_healthy(vm);
  CHECK(sum_of(result).urged > 0);
}
