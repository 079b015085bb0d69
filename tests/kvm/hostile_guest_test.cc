// Guests that break the rules, on real KVM: what they do ends their own VM with a line that says who and
// where; a healthy VM in the same run goes on, and its results are there.
#include <algorithm>

#include "tests/kvm/hostile_guests.h"
#include "tests/kvm/real_run.h"

using namespace kvm_test;
using namespace vmm;

namespace {

GUEST_CODE(loops_before_it_starts, "1: jmp 1b");
GUEST_CODE(halts_before_it_starts, "hlt\n 1: jmp 1b");
// vCPU 1 says that it runs, as a guest should; vCPU 0 is never heard of.
GUEST_CODE(one_of_two_starts, "test %rsi, %rsi\n jz 1f\n" GUEST_SAYS_RUNNING "1: jmp 1b");
GUEST_CODE(deaf_loop, "cli\n" GUEST_SAYS_RUNNING "1: jmp 1b");
GUEST_CODE(deaf_loop_at_cpl3, GUEST_SAYS_RUNNING GUEST_TO_USER(0x2) "1: jmp 1b");

bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

// The healthy VM first, the other one second.
RunResult run_beside_healthy(std::span<const uint8_t> code, Nanos duration, const char* policy = "fair") {
  const GuestFile guest(code);
  RunSpec spec = short_run(duration);
  add_vm(spec, "compute", 2, policy);
  add_vm(spec, guest.path(), 2, policy);
  RunResult result = run_it(spec);
  REQUIRE(result.vms.size() == 2);
  return result;
}

// For as long as it takes until all of the healthy VM has worked and the other has failed with words like
// these, if it should: longer on a busy host.
constexpr const char* kNoFailure = "";
RunResult run_until_seen(std::span<const uint8_t> code, const char* failure, const char* policy = "fair") {
  for (const int64_t length : {100, 400, 2'000}) {
    RunResult result = run_beside_healthy(code, ms(length), policy);
    const auto& healthy = result.vms[0].vcpus;
    const bool worked = std::all_of(healthy.begin(), healthy.end(),
                                    [](const VcpuResult& vcpu) { return vcpu.operations > 0; });
    if (worked && contains(result.vms[1].failure, failure)) return result;
  }
  return run_beside_healthy(code, ms(10'000), policy);
}

}  // namespace

TEST_CASE("what a guest does wrong ends it, by name and place, and nobody else") {
  REQUIRE_KVM(system);
  for (const HostileGuest& one : hostile_guests()) {
    CAPTURE(one.name);
    const RunResult result = run_until_seen(one.code, "vm1/vcpu1: ");
    const std::string& failure = result.vms[1].failure;
    CAPTURE(failure);
    CHECK(contains(failure, "vm1/vcpu1: "));
    // KVM for AMD resets a vCPU at its triple fault.
    const bool place = contains(failure, " at RIP 0x") ||
                       contains(failure, "(the processor was reset by KVM: the place is lost");
    CHECK(place);
    CHECK(contains(failure, one.says));
    check_healthy(result.vms[0]);
  }
}

TEST_CASE("a guest that never starts is named when the run is over") {
  REQUIRE_KVM(system);
  const RunResult loops = run_until_seen(loops_before_it_starts(), "never started");
  CHECK(loops.vms[1].failure ==
        "vm1/vcpu0: never started, still at RIP 0x100000, CPL 0, interrupts off (and 1 other vCPUs)");
  check_healthy(loops.vms[0]);
  const RunResult halts = run_until_seen(halts_before_it_starts(), "never run again");
  CHECK(contains(halts.vms[1].failure, "vCPU 0 halted with interrupts off at RIP 0x100001"));
  check_healthy(halts.vms[0]);
}

TEST_CASE("a user's guest may leave vCPUs unused") {
  REQUIRE_KVM(system);
  const RunResult result = run_beside_healthy(one_of_two_starts(), ms(400));
  CHECK(result.vms[1].failure == "");
  check_healthy(result.vms[0]);
}

TEST_CASE("a loop with interrupts off gets its share and no more") {
  REQUIRE_KVM(system);
  for (const auto code : {deaf_loop(), deaf_loop_at_cpl3()}) {
    const RunResult result = run_until_seen(code, kNoFailure);
    CHECK(result.vms[1].failure == "");
    check_healthy(result.vms[0]);
    double share[2] = {};
    for (size_t vm = 0; vm < 2; ++vm) {
      for (const VcpuResult& vcpu : result.vms[vm].vcpus) {
        share[vm] += static_cast<double>(vcpu.sched.times.running.count());
      }
    }
    CHECK(share[0] > 0.4 * share[1]);  // one half, but for what a busy host takes of either
  }
}

TEST_CASE("storms of IPIs, NMIs and INITs stay inside their VM") {
  REQUIRE_KVM(system);
  for (const char* policy : {"fair", "v2", "kvmux"}) {
    CAPTURE(policy);
    for (const HostileGuest& storm : stormy_guests()) {
      CAPTURE(storm.name);
      check_healthy(run_until_seen(storm.code, kNoFailure, policy).vms[0]);
    }
  }
}

TEST_CASE("a hostile guest under the host's scheduler ends alone as well") {
  REQUIRE_KVM(system);
  const RunResult result = run_until_seen(hostile_guests().front().code, "vm1/vcpu", "host");
  const std::string& failure = result.vms[1].failure;
  CHECK_MESSAGE((contains(failure, "vm1/vcpu1: triple fault at RIP 0x") ||
                 contains(failure, "vm1/vcpu1: triple fault (the processor was reset by KVM")),
                failure);
  check_healthy(result.vms[0]);
}
