// The flat run queue: one timeline, on which vCPUs weigh what their groups make of them (Linux 7.3).
#include <doctest/doctest.h>

#include "sched/queue/eevdf_queue.h"
#include "support.h"

using namespace sched_test;

TEST_CASE("flat: vCPUs of a group share what the group gets, however many they are") {
  QueueRig rig(VmShare::kSmp);
  const GroupId many = rig.group();
  const GroupId one = rig.group();
  Vcpu* vcpus[] = {&rig.vcpu(many), &rig.vcpu(many), &rig.vcpu(many), &rig.vcpu(one)};
  EevdfQueue& queue = rig.queue();
  for (Vcpu* vcpu : vcpus) queue.enqueue(*vcpu, 0ns);
  CHECK(vcpus[3]->weight == Weight{1024});
  CHECK(vcpus[2]->weight == Weight{341});
  CHECK(vcpus[0]->weight == Weight{1024});  // as it came; it follows when it is chosen
  auto service = run_turns(queue, 0ns, 240ms);
  CHECK(vcpus[0]->weight == Weight{341});
  for (int i = 0; i < 3; ++i) CHECK(std::abs((service[vcpus[i]->id] - 40ms).count()) <= 2'000'000);
  CHECK(std::abs((service[vcpus[3]->id] - 120ms).count()) <= 2'000'000);
  queue.check();
}

TEST_CASE("flat: groups nest, with weights at every level") {
  QueueRig rig(VmShare::kSmp);
  const GroupId prod = rig.group(Weight{3072});
  const GroupId web = rig.group(Weight{2048}, prod);
  Vcpu& front = rig.vcpu(rig.group(Weight{1024}, web));
  Vcpu& back = rig.vcpu(rig.group(Weight{3072}, web));
  Vcpu& db = rig.vcpu(rig.group(Weight{1024}, prod));
  Vcpu& test = rig.vcpu(rig.group(Weight{1024}));
  EevdfQueue& queue = rig.queue();
  for (Vcpu* vcpu : {&front, &back, &db, &test}) queue.enqueue(*vcpu, 0ns);
  CHECK(queue.runnable() == 4);
  auto service = run_turns(queue, 0ns, 800ms);
  // test 1/4; prod 3/4, of that db 1/3 and web 2/3, of that front 1/4 and back 3/4.
  const auto near = [&](const Vcpu& vcpu, Nanos want) {
    CAPTURE(vcpu.id);
    CHECK(std::abs((service[vcpu.id] - want).count()) <= 4'000'000);
  };
  near(test, 200ms);
  near(db, 200ms);
  near(front, 100ms);
  near(back, 300ms);
}

TEST_CASE("flat: a change of weight keeps lag and rest of the request in real time") {
  QueueRig rig(VmShare::kSmp);
  const GroupId vm = rig.group();
  Vcpu& a = rig.vcpu(vm);
  Vcpu& other = rig.vcpu(rig.group());
  Vcpu& b = rig.vcpu(vm);
  EevdfQueue& queue = rig.queue();
  queue.enqueue(a, 0ns);
  queue.enqueue(other, 0ns);
  REQUIRE(queue.pick(0ns) == &a);
  REQUIRE_FALSE(queue.tick(400us));
  CHECK(a.weight == Weight{1024});
  CHECK(queue.root().lag(a) == Vruntime{-200'000});
  CHECK(a.deadline - a.vruntime == Vruntime{600'000});
  queue.enqueue(b, 400us);  // its VM's weight is dealt to two
  CHECK(queue.turn_end() == 1ms);
  const Vruntime average = queue.root().average();
  const Vruntime lag = average - a.vruntime;
  REQUIRE_FALSE(queue.tick(400'001ns));
  CHECK(a.weight == Weight{512});
  // Twice as much virtual time is the same service at half the weight; the nanosecond that it ran is 2.
  CHECK(std::abs(((average - a.vruntime) - lag - lag).ticks) <= 3);
  CHECK(std::abs((a.deadline - a.vruntime).ticks - 1'200'000) <= 3);
  CHECK(std::abs((queue.turn_end() - 1ms).count()) <= 2);
  queue.check();
}

TEST_CASE("flat: a forfeit lets other VMs run, also where the VM has one vCPU here") {
  for (const bool flat : {false, true}) {
    CAPTURE(flat);
    QueueRig nested;
    QueueRig level(VmShare::kSmp);
    QueueRig& rig = flat ? level : nested;
    Vcpu& yielder = rig.vcpu(rig.group());
    Vcpu& other = rig.vcpu(rig.group());
    EevdfQueue& queue = rig.queue();
    queue.enqueue(yielder, 0ns);
    queue.enqueue(other, 0ns);
    REQUIRE(queue.pick(0ns) == &yielder);
    CHECK_FALSE(queue.tick(0ns));
    queue.forfeit();
    queue.put(0ns);
    // A group of one forfeits nothing: it competes with nobody at its own level.
    CHECK(queue.pick(0ns) == (flat ? &other : &yielder));
  }
}

TEST_CASE("vm-share: what a group weighs on a worker") {
  const auto weight = [](VmShare mode, int64_t here, int64_t elsewhere) {
    constexpr uint32_t kWorkers = 4;
    Hierarchy hierarchy(1, mode, kWorkers);
    const GroupId group = hierarchy.add(kRootGroup, Weight{1000}, 1ms);
    hierarchy.add_load(group, 1024 * (here + elsewhere));
    hierarchy.count_runnable(group, here + elsewhere);
    return hierarchy.share(group, Weight{1024 * here}).value;
  };
  CHECK(weight(VmShare::kSmp, 1, 3) == 250);
  CHECK(weight(VmShare::kUp, 1, 3) == 1000);
  CHECK(weight(VmShare::kConcur, 1, 1) == 1000);  // two can run at once: 2000 in all
  CHECK(weight(VmShare::kConcur, 1, 3) == 1000);
  CHECK(weight(VmShare::kConcur, 2, 6) == 1000);  // no more than there are workers
  CHECK(weight(VmShare::kTasks, 2, 6) == 2000);
  CHECK(weight(VmShare::kMax, 2, 6) == 1000);
  CHECK(weight(VmShare::kMax, 1, 0) == 4000);
}

TEST_CASE("vm-share=max is clipped at Linux' highest weight") {
  Hierarchy hierarchy(1, VmShare::kMax, 100);
  const GroupId group = hierarchy.add(kRootGroup, kDefaultWeight, 1ms);
  hierarchy.add_load(group, 1024);
  CHECK(hierarchy.share(group, Weight{1024}).value == 88'761);
}

TEST_CASE("vm-share: service is what the entitlement says, on flat and on nested queues") {
  const auto share_of_three = [](bool flat, VmShare mode) {
    // On one of two workers, where all four vCPUs are.
    QueueRig rig(mode, 2, flat);
    const GroupId many = rig.group();
    const GroupId one = rig.group();
    Vcpu* vcpus[] = {&rig.vcpu(many), &rig.vcpu(many), &rig.vcpu(many), &rig.vcpu(one)};
    EevdfQueue& queue = rig.queue();
    for (Vcpu* vcpu : vcpus) queue.enqueue(*vcpu, 0ns);
    auto service = run_turns(queue, 0ns, 1s);
    for (Vcpu* vcpu : vcpus) queue.dequeue(*vcpu, 1s);
    CHECK(queue.runnable() == 0);
    CHECK_FALSE(rig.hierarchy().runnable(many));
    return 1 - static_cast<double>(service[vcpus[3]->id].count()) / 1e9;
  };
  for (const bool flat : {false, true}) {
    CAPTURE(flat);
    for (const VmShare mode : {VmShare::kSmp, VmShare::kUp, VmShare::kConcur, VmShare::kMax, VmShare::kTasks}) {
      CAPTURE(static_cast<int>(mode));
      // kUp is per worker, and there is but one here.
      const auto many = static_cast<double>(mode == VmShare::kUp ? 1 : entitlement_factor(mode, 3, 2));
      CHECK(share_of_three(flat, mode) == doctest::Approx(many / (many + 1)).epsilon(0.01));
    }
  }
}

TEST_CASE("cgroups=none: vCPUs share side by side, whatever VM they are of") {
  for (const char* policy : {"fair,cgroups=none", "fair,cgroups=none,queue=flat"}) {
    CAPTURE(policy);
    SchedulerRig rig(1, {{.vcpus = 3, .preset = policy}, {.vcpus = 1, .preset = policy}});
    rig.start_all();
    Nanos now{};
    for (VcpuId at = rig.pick(kW0, now); now < 80ms; at = rig.next(kW0, now)) {
      REQUIRE(at != kNoVcpu);
      now += 1ms;
    }
    for (uint32_t i = 0; i < 4; ++i)
      CHECK(std::abs((rig.stats(i, now).times.running - 20ms).count()) <= 1'000'000);
  }
}

TEST_CASE("cgroups=vcpu: a VM has its weight's share, and a vCPU alone in its group forfeits nothing") {
  // A group of its own is why a yield does so little for vCPUs as libvirt runs them; on a flat queue it does not matter.
  for (const bool flat : {false, true}) {
    CAPTURE(flat);
    const char* policy = flat ? "yield,cgroups=vcpu,queue=flat" : "yield,cgroups=vcpu";
    SchedulerRig rig(1, {{.vcpus = 3, .preset = policy}, {.vcpus = 1, .preset = policy}});
    rig.start_all();
    rig.s.change_policies(std::vector<Policy>(2, policy_of(policy)), 0ns);  // slices of all groups
    Nanos now{};
    for (VcpuId at = rig.pick(kW0, now); now < 120ms; at = rig.next(kW0, now)) {
      REQUIRE(at != kNoVcpu);
      now += 1ms;
    }
    CHECK(std::abs((rig.stats(3, now).times.running - 60ms).count()) <= 2'000'000);
    for (uint32_t i = 0; i < 3; ++i)
      CHECK(std::abs((rig.stats(i, now).times.running - 20ms).count()) <= 2'000'000);
  }
  QueueRig rig;
  const GroupId vm = rig.group();
  Vcpu& yielder = rig.vcpu(rig.group(kDefaultWeight, vm));
  Vcpu& sibling = rig.vcpu(rig.group(kDefaultWeight, vm));
  EevdfQueue& queue = rig.queue();
  queue.enqueue(yielder, 0ns);
  queue.enqueue(sibling, 0ns);
  REQUIRE(queue.pick(0ns) == &yielder);
  CHECK_FALSE(queue.tick(0ns));
  queue.forfeit();
  queue.put(0ns);
  CHECK(queue.pick(0ns) == &yielder);
}

TEST_CASE("flat: a VM of the least weight has no more than its weight, however many vCPUs it has") {
  const char* policy = "fair,queue=flat";
  Setup setup = setup_of(1, {{.vcpus = 16, .preset = policy, .weight = Weight{64}}, {.vcpus = 1, .preset = policy}});
  SchedulerRig rig(setup);
  rig.start_all();
  Nanos now{};
  for (VcpuId at = rig.pick(kW0, now); now < 4s; at = rig.next(kW0, now)) {
    REQUIRE(at != kNoVcpu);
    now += 1ms;
  }
  const double share = 1 - static_cast<double>(rig.stats(16, now).times.running.count()) / static_cast<double>(now.count());
  CHECK(share == doctest::Approx(64.0 / (64 + 1024)).epsilon(0.05));
}
