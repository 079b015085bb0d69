// The thread-per-vCPU baselines, as far as they need no KVM: where a thread's time went, and which runs are
// refused.
#include <doctest/doctest.h>

#include "sched/policy/parse.h"
#include "vmm/run/host_backend.h"
#include "vmm/run/host_thread.h"
#include "vmm/run/setup.h"

using namespace vmm;

namespace {

constexpr Nanos ms(int64_t n) { return Nanos{n * 1'000'000}; }

Nanos sum(const sched::StateTimes& t) { return t.running + t.waiting + t.halted + t.stopped; }

RunSpec spec_of(std::initializer_list<const char*> policies) {
  RunSpec spec;
  for (const char* policy : policies) {
    VmSpec vm;
    vm.policy = *sched::parse_policy(policy);
    spec.vms.push_back(vm);
  }
  return spec;
}

// The whole text of the refusal, or nothing.
std::string refusal(const RunSpec& spec) {
  RunControl control;
  const auto result = run_host_threads(spec, control);
  if (result || result.error().kind != ErrorKind::kUsage) return {};
  return result.error().text();
}

bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("time off the CPU is waiting as far as the host says so, then halted as far as the vCPU slept") {
  const HostStates s = host_states(
      {.alive = ms(100), .dead = ms(7), .ran = ms(40), .waited = ms(30), .parked = ms(2), .halted = ms(35)});
  CHECK(s.times.running == ms(40));
  CHECK(s.times.waiting == ms(32));
  CHECK(s.times.halted == ms(28));  // 35 contain the wait after each wake-up
  CHECK(s.times.stopped == ms(7));
  CHECK(s.stolen == Nanos{0});
}

TEST_CASE("what neither ran nor waited nor slept was stolen, and counts as running") {
  const HostStates s =
      host_states({.alive = ms(100), .ran = ms(60), .waited = ms(30), .parked = {}, .halted = ms(4)});
  CHECK(s.times.running == ms(66));
  CHECK(s.times.waiting == ms(30));
  CHECK(s.times.halted == ms(4));
  CHECK(s.stolen == ms(6));
}

TEST_CASE("with the LAPIC inside KVM all time off the CPU without waiting is halted") {
  const HostStates s =
      host_states({.alive = ms(100), .ran = ms(60), .waited = ms(30), .parked = {}, .halted = {}});
  CHECK(s.times.halted == ms(10));
  CHECK(s.stolen == Nanos{0});
}

TEST_CASE("states add up even where the host's clocks disagree") {
  for (const int64_t ran : {0, 50, 99, 100, 130}) {
    for (const int64_t waited : {0, 20, 120}) {
      for (const int64_t parked : {0, 15}) {
        HostTimes t{
            .alive = ms(100), .dead = ms(3), .ran = ms(ran), .waited = ms(waited), .parked = ms(parked)};
        for (const auto& halted : {std::optional<Nanos>{}, std::optional(ms(0)), std::optional(ms(60))}) {
          t.halted = halted;
          const HostStates s = host_states(t);
          CHECK(sum(s.times) == ms(103));
          for (const Nanos part : {s.times.running, s.times.waiting, s.times.halted, s.stolen}) {
            CHECK(part >= Nanos{0});
          }
        }
      }
    }
  }
}

TEST_CASE("a host preset holds for all VMs of a run") {
  for (const auto& pair : {spec_of({"host", "fair"}), spec_of({"yield", "host-yield"}),
                           spec_of({"host", "host-yield"}), spec_of({"host-kvm", "host"})}) {
    CHECK(is_host_run(pair));
    CHECK(contains(refusal(pair), "cannot share a run"));
  }
  CHECK_FALSE(is_host_run(spec_of({"kvmux", "fair"})));
}

TEST_CASE("host presets know no weights and no groups") {
  RunSpec spec = spec_of({"host", "host"});
  spec.vms[1].weight = {2048};
  CHECK(contains(refusal(spec), "--weight"));
  spec.vms[1].weight = {};
  spec.vms[0].group = "prod";
  CHECK(contains(refusal(spec), "--group"));
  spec.vms[0].group = "";
  spec.vms[1].handicap_percent = 10;
  CHECK(contains(refusal(spec), "--handicap"));
  CHECK(contains(refusal(RunSpec{}), "at least one VM"));
}

TEST_CASE("the LAPIC cannot be inside KVM under a run queue of ours") {
  for (const char* policy : {"v2", "kvmux", "yield", "rr", "gang"}) {
    RunSpec spec = spec_of({policy});
    CHECK(check_together(spec));
    spec.irqchip = Irqchip::kSplit;
    const auto refused = check_together(spec);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::kUsage);
    CHECK(contains(refused.error().text(), policy));
    CHECK(contains(refused.error().text(), "EOIs"));
    CHECK_FALSE(make_setup(spec, Nanos{50'000}));
  }
  RunSpec host = spec_of({"host"});
  host.irqchip = Irqchip::kSplit;
  CHECK(check_together(host));
}
