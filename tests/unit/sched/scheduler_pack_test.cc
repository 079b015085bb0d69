// VMs side by side, and the longer turns of VMs that nobody waits for. Slices of 1 ms without jitter.
#include <doctest/doctest.h>

#include <algorithm>

#include "sched/place/first_places.h"
#include "sched/scheduler.h"
#include "support.h"

using namespace sched_test;

namespace {

// On worker 0, which nobody runs on, until `until`: the longest turn that the vCPU had, by the ends that were
// granted.
Nanos longest_turn(SchedulerRig& rig, VcpuId vcpu, Nanos& now, Nanos until) {
  Nanos longest{};
  while (now < until) {
    const auto turn = rig.s.pick(kW0, now);
    REQUIRE(turn);
    const Nanos came = now;
    for (auto more = turn; more; more = rig.s.tick(kW0, now)) now = more->end;
    if (turn->vcpu == vcpu) longest = std::max(longest, now - came);
    rig.s.put(kW0, now, false);
  }
  return longest;
}

}  // namespace

TEST_CASE("pack: VMs begin in blocks, else their vCPUs are dealt out") {
  for (const bool packed : {true, false}) {
    const std::string_view policy = packed ? "kvmux,affinity=off" : "kvmux,pack=off";
    SchedulerRig rig(2, {{2, policy}, {4, policy}, {2, policy}});
    rig.start_all();
    for (uint32_t vcpu = 0; vcpu < 8; ++vcpu) {
      CAPTURE(vcpu);
      CHECK(rig.where(vcpu) == (packed ? WorkerId{vcpu / 4} : WorkerId{vcpu % 2}));
    }
  }
}

TEST_CASE("pack: loads count, not vCPUs") {
  // A weight of 2048 in two vCPUs, and as much in four VMs of three.
  constexpr Weight kLight{512};
  const Setup setup = setup_of(2, {{2, "kvmux", Weight{2048}},
                                   {3, "kvmux", kLight},
                                   {3, "kvmux", kLight},
                                   {3, "kvmux", kLight},
                                   {3, "kvmux", kLight}});
  const std::vector<WorkerId> places = first_places(setup).of_vcpu;
  REQUIRE(places.size() == 14);
  CHECK_FALSE(first_places(setup).whole);
  for (uint32_t vcpu = 0; vcpu < 14; ++vcpu) CHECK(places[vcpu] == (vcpu < 2 ? kW0 : kW1));
}

TEST_CASE(
    "pack: where whole vCPUs cannot make loads even, and where one VM does not want it, all are dealt out") {
  Setup grouped = setup_of(2, {{2, "kvmux"}, {2, "kvmux"}});
  grouped.groups.push_back({"prod", kRootGroup, Weight{512}});
  grouped.vms[0].parent = GroupId{0};
  for (const Setup& setup : {setup_of(2, {{2, "kvmux", Weight{512}}, {2, "kvmux", Weight{1024}}}),
                             setup_of(2, {{2, "kvmux"}, {2, "kvmux,pack=off"}}), grouped}) {
    CHECK(first_places(setup).of_vcpu == std::vector{kW0, kW1, kW0, kW1});
    CHECK_FALSE(first_places(setup).whole);
  }
}

TEST_CASE("patience: turns last so many slices, until a vCPU of the VM is known to wait for receivers") {
  Setup setup = setup_of(1, {{2, "kvmux"}, {1, "kvmux"}});
  for (VmSetup& vm : setup.vms) vm.policy.tuning.quantum_multiplier = 3;
  SchedulerRig rig(setup);
  rig.start_all();
  Nanos now{};
  constexpr VcpuId kSender{0};
  constexpr VcpuId kOther{2};
  constexpr IrqVector kVector{0x40};
  VcpuSet receivers(2);
  receivers.insert(1);
  longest_turn(rig, kSender, now, 50ms);                // the first requests were made before anybody ran
  CHECK(longest_turn(rig, kSender, now, 100ms) > 1ms);  // its group's requests cut it
  for (int sends = 0; sends < 8;) {
    const VcpuId runs = rig.pick(kW0, now);
    if (runs == kSender) {
      ++sends;
      rig.s.ipi_sent(VmId{0}, {.sender = 0, .vector = kVector, .shorthand = false, .receivers = receivers},
                     now);
      rig.s.interrupt_posted(VcpuId{1}, now);
      if (!rig.s.sent(kW0, now)) rig.s.spin(kW0, now += 50us, false);
      rig.s.eoi(VcpuId{1}, kVector, now);
    }
    rig.s.put(kW0, now += 50us, false);
  }
  longest_turn(rig, kSender, now, now + 50ms);
  const Nanos later = now + 50ms;
  CHECK(longest_turn(rig, kSender, now, later) <= 1ms);
  CHECK(longest_turn(rig, kOther, now, later + 50ms) == 3ms);
}

TEST_CASE("pack and affinity: what a VM is to have decides, and vm-share and cgroups are a part of that") {
  // By weight alone, all four are alike and each has a worker to itself.
  const auto whole = [](std::string_view policy) {
    return first_places(setup_of(4, {{4, policy}, {4, policy}, {1, policy}, {1, policy}})).whole;
  };
  CHECK(whole("kvmux"));
  CHECK_FALSE(whole("kvmux,vm-share=concur"));
  CHECK_FALSE(whole("kvmux,cgroups=none"));
  CHECK_FALSE(whole("kvmux,queue=flat"));
  // Without groups all vCPUs are alike: as many on each worker.
  const auto places =
      first_places(setup_of(3, {{4, "kvmux,cgroups=none"}, {8, "kvmux,cgroups=none"}})).of_vcpu;
  for (uint32_t worker = 0; worker < 3; ++worker) {
    CHECK(std::count(places.begin(), places.end(), WorkerId{worker}) == 4);
  }
}
