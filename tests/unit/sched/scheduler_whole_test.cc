// VMs that stay whole: where they live, what moves them, and how their strays come home. Slices of 1 ms
// without jitter, balancing every 20 ms.
#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "sched/place/first_places.h"
#include "sched/scheduler.h"
#include "support.h"

using namespace sched_test;

namespace {

constexpr VmShape kVm{2, "kvmux"};  // vCPUs 0 and 1 are the first VM's, 2 and 3 the second's, …

// Lets all workers of a rig whose vCPUs never sleep run turn after turn, in steps short against a turn.
class Turns {
 public:
  Turns(SchedulerRig& rig, uint32_t vcpus_of_vm) : rig_(rig), size_(vcpus_of_vm) {
    for (uint32_t w = 0; w < rig.s.workers(); ++w) static_cast<void>(rig.pick(WorkerId{w}, Nanos{}));
  }

  void run_until(Nanos end) {
    for (; now_ < end; now_ += 50us) {
      for (uint32_t w = 0; w < rig_.s.workers(); ++w) {
        if (!rig_.s.tick(WorkerId{w}, now_)) static_cast<void>(rig_.next(WorkerId{w}, now_));
      }
      ++looks_;
      if (in_one_place()) ++whole_;
    }
  }
  Nanos now() const { return now_; }
  // Of a VM, by its index.
  Nanos service(uint32_t vm) const {
    Nanos sum{};
    for (uint32_t i = 0; i < size_; ++i) sum += rig_.stats(vm * size_ + i, now_).times.running;
    return sum;
  }
  uint64_t migrations() const {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < rig_.s.vcpus(); ++i) sum += rig_.stats(i, now_).migrations;
    return sum;
  }
  // The part of the time in which no VM was on two workers.
  double whole() const { return static_cast<double>(whole_) / static_cast<double>(looks_); }

 private:
  bool in_one_place() const {
    for (uint32_t i = 0; i < rig_.s.vcpus(); ++i) {
      if (rig_.where(i) != rig_.where(i - i % size_)) return false;
    }
    return true;
  }

  SchedulerRig& rig_;
  const uint32_t size_;
  Nanos now_{};
  uint64_t looks_ = 0;
  uint64_t whole_ = 0;
};

}  // namespace

TEST_CASE("whole: equal VMs, no fewer than workers, begin on one worker each") {
  const FirstPlaces places = first_places(setup_of(2, {kVm, kVm, kVm}));
  CHECK(places.whole);
  CHECK(places.of_vcpu == std::vector{kW0, kW0, kW0, kW0, kW1, kW1});
  SUBCASE("fewer VMs than workers") { CHECK_FALSE(first_places(setup_of(3, {kVm, kVm})).whole); }
  SUBCASE("unequal weights") {
    CHECK_FALSE(first_places(setup_of(2, {kVm, {2, "kvmux", Weight{512}}, kVm})).whole);
  }
  SUBCASE("one does not want it") {
    CHECK_FALSE(first_places(setup_of(2, {kVm, {2, "kvmux,affinity=off"}, kVm})).whole);
  }
  SUBCASE("moves cost too much, so nobody's turn to be alone would come") {
    Setup setup = setup_of(2, {kVm, kVm, kVm});
    setup.tuning.migration_cost = setup.tuning.dear_move;
    CHECK_FALSE(first_places(setup).whole);
  }
}

TEST_CASE("whole: VMs that cannot be spread evenly take turns on the emptier worker, and stay whole") {
  struct Shape {
    uint32_t workers;
    uint32_t vms;
    uint32_t vcpus;
  };
  const Shape shapes[] = {{2, 3, 4}, {2, 5, 2}, {3, 4, 3}, {3, 5, 2}, {4, 7, 2}, {2, 3, 1}};
  for (const Shape& shape : shapes) {
    const uint32_t workers = shape.workers;
    const uint32_t vms = shape.vms;
    const uint32_t vcpus = shape.vcpus;
    CAPTURE(workers);
    CAPTURE(vms);
    Setup setup = setup_of(workers, {});
    for (uint32_t i = 0; i < vms; ++i) setup.vms.push_back({.vcpus = vcpus, .policy = policy_of("kvmux")});
    SchedulerRig rig(setup);
    rig.start_all();
    Turns turns(rig, vcpus);
    turns.run_until(100ms);
    std::vector<Nanos> before;
    for (uint32_t vm = 0; vm < vms; ++vm) before.push_back(turns.service(vm));
    turns.run_until(1100ms);
    const double fair = 1e9 * workers / vms;
    for (uint32_t vm = 0; vm < vms; ++vm) {
      CAPTURE(vm);
      CHECK(static_cast<double>((turns.service(vm) - before[vm]).count()) ==
            doctest::Approx(fair).epsilon(0.04));
    }
    CHECK(turns.whole() > 0.9);
    if (workers == 2)
      CHECK(turns.migrations() <= 1100ms / plain_tuning().balance_interval * vcpus);  // a VM an interval
  }
}

TEST_CASE("whole: the vCPUs of a VM that moves keep their lags to each other") {
  SchedulerRig rig(2, {{3, "kvmux"}, {3, "kvmux"}, {3, "kvmux"}});
  rig.start_all();
  REQUIRE(rig.pick(kW1, 0ns) != kNoVcpu);
  // Short turns of unequal length.
  REQUIRE(rig.pick(kW0, 0ns) != kNoVcpu);
  Nanos now{};
  for (int turn = 0; turn < 20; ++turn) rig.next(kW0, now += 100us * (1 + turn % 5));
  rig.s.put(kW0, now, false);
  // Vruntimes of a VM's vCPUs, less that of the one with the lowest id.
  const auto lags = [&rig](uint32_t vm, WorkerId worker) {
    std::map<uint32_t, int64_t> of;
    rig.s.inspect(worker, [&](RunQueue& queue) {
      static_cast<EevdfQueue&>(queue).timeline(GroupId{vm}).for_each([&](const Entity& entity) {
        of[entity.tie] = entity.vruntime.ticks;
      });
    });
    const int64_t first = of.empty() ? 0 : of.begin()->second;
    for (auto& [id, vruntime] : of) vruntime -= first;
    return of;
  };
  const std::map<uint32_t, int64_t> before[] = {lags(0, kW0), lags(1, kW0)};
  rig.next(kW1, 30ms);
  const uint32_t moved = rig.where(0) == kW1 ? 0 : 1;
  const auto after = lags(moved, kW1);
  REQUIRE(after.size() == 3);
  REQUIRE(before[moved].size() == 3);
  bool unequal = false;
  for (const auto& [id, lag] : before[moved]) {
    CAPTURE(id);
    unequal = unequal || std::abs(lag) > 100'000;
    CHECK(std::abs(after.at(id) - lag) < 100);
  }
  CHECK(unequal);
}

TEST_CASE("whole: the vCPU that runs when its VM moves is taken off at once, and follows") {
  Setup setup = setup_of(2, {kVm, kVm, kVm});
  for (VmSetup& vm : setup.vms) vm.policy.tuning.slice = 1s;  // no turn ends by itself
  SchedulerRig rig(setup);
  rig.start_all();
  const VcpuId runs = rig.pick(kW0, 0ns);
  const uint32_t sibling = index_of(runs) ^ 1u;
  REQUIRE(rig.pick(kW1, 0ns) != kNoVcpu);
  REQUIRE(rig.s.tick(kW0, 30ms));  // its VM has had all the service there, so it is the one that moves
  rig.host.kicks.clear();
  rig.next(kW1, 30ms);
  REQUIRE(rig.where(sibling) == kW1);
  CHECK(rig.where(index_of(runs)) == kW0);
  CHECK(rig.host.take_kicks(kW0) == 1);
  CHECK_FALSE(rig.s.tick(kW0, 30ms));
  rig.s.put(kW0, 30ms, false);
  CHECK(rig.where(index_of(runs)) == kW1);
}

TEST_CASE("whole: a VM that has run ahead of the others on its worker stays until that is worked off") {
  Setup setup = setup_of(2, {kVm, kVm, kVm});
  for (VmSetup& vm : setup.vms) vm.policy.tuning.slice = 40ms;
  SchedulerRig rig(setup);
  rig.start_all();
  const VcpuId runs = rig.pick(kW0, 0ns);
  REQUIRE(rig.pick(kW1, 0ns) != kNoVcpu);
  REQUIRE(rig.s.tick(kW0, 30ms));  // it has had most service, and owes half of it
  rig.next(kW1, 30ms);
  CHECK(rig.where(index_of(runs) ^ 1u) == kW0);
}

TEST_CASE("whole: a stray goes home when another VM needs its worker, and not before") {
  SchedulerRig rig(2, {kVm, kVm});
  rig.start_all();
  // VM 0 sleeps; worker 0 takes one of VM 1's.
  REQUIRE(rig.pick(kW1, 0ns) != kNoVcpu);
  for (int i = 0; i < 2; ++i) {
    REQUIRE(index_of(rig.pick(kW0, 0ns)) < 2);
    rig.s.halt(kW0, 1us);
  }
  const VcpuId stray = rig.pick(kW0, 1ms);
  REQUIRE(index_of(stray) >= 2);
  rig.s.put(kW0, 2ms, false);
  CHECK(rig.where(index_of(stray)) == kW0);
  REQUIRE(rig.pick(kW0, 2ms) == stray);
  rig.s.interrupt_posted(VcpuId{0}, 3ms);
  REQUIRE(rig.where(0) == kW0);
  rig.s.put(kW0, 4ms, false);
  CHECK(rig.where(index_of(stray)) == kW1);
  CHECK(rig.pick(kW0, 4ms) == VcpuId{0});
}

TEST_CASE("whole: who wakes goes to its VM's home, wherever it ran last") {
  Setup setup = setup_of(2, {kVm, kVm, kVm});
  for (VmSetup& vm : setup.vms) vm.policy.tuning.slice = 1s;
  SchedulerRig rig(setup);
  rig.start_all();
  const VcpuId sleeper = rig.pick(kW0, 0ns);
  const uint32_t sibling = index_of(sleeper) ^ 1u;
  REQUIRE(rig.pick(kW1, 0ns) != kNoVcpu);
  REQUIRE(rig.s.tick(kW0, 30ms));
  rig.s.halt(kW0, 30ms);
  REQUIRE(rig.pick(kW0, 30ms) != kNoVcpu);
  rig.next(kW1, 31ms);
  REQUIRE(rig.where(sibling) == kW1);
  rig.s.interrupt_posted(sleeper, 32ms);
  CHECK(rig.where(index_of(sleeper)) == kW1);
}

TEST_CASE("whole: a VM that slept is not owed the service of that time") {
  // VM 2 sleeps for a second, the others have a worker each. Then all compute.
  SchedulerRig rig(2, {{1, "kvmux"}, {1, "kvmux"}, {1, "kvmux"}});
  rig.start_all();
  REQUIRE(rig.pick(kW1, 0ns) == VcpuId{2});
  rig.s.halt(kW1, 1us);
  Turns turns(rig, 1);
  turns.run_until(1s);
  const Nanos before = turns.service(2);
  rig.s.interrupt_posted(VcpuId{2}, turns.now());
  turns.run_until(2s);
  const double got = static_cast<double>((turns.service(2) - before).count()) / 1e9;
  CHECK(got > 0.65);
  CHECK(got < 0.72);  // 2/3, and at most two balancing intervals' half
}
