// How the cost of an operation grows with the number of vCPUs, in nodes visited rather than in time: what is
// promised as O(log n) fails here when it becomes O(n).
#include <doctest/doctest.h>

#include <cmath>

#include "support.h"

using namespace sched_test;

namespace {

constexpr int kRounds = 1000;

// One worker, every vCPU queued on it, in VMs of this size.
Setup crowd(uint32_t vcpus, uint32_t of_a_vm, std::string_view preset) {
  Setup setup = setup_of(1, {});
  for (uint32_t v = 0; v < vcpus; v += of_a_vm) {
    setup.vms.push_back({.vcpus = of_a_vm, .weight = {}, .parent = kRootGroup, .policy = policy_of(preset)});
  }
  setup.tuning.slice_jitter_permille = 200;
  return setup;
}

// Visited nodes for each call of step(now).
template <class Step>
double steps_of(SchedulerRig& rig, Nanos& now, Step step) {
  const uint64_t before = rig.s.steps();
  for (int i = 0; i < kRounds; ++i) step(now += 1100us);
  return static_cast<double>(rig.s.steps() - before) / kRounds;
}

void check_growth(uint32_t of_a_vm) {
  for (const uint32_t n : {64u, 1024u, 16384u}) {
    const uint32_t size = std::min(n, of_a_vm);
    CAPTURE(n);
    CAPTURE(size);
    SchedulerRig rig(crowd(n, size, "v2"));
    rig.start_all();
    Nanos now = 1ms;
    VcpuId running = rig.pick(kW0, now);
    const double log = std::log2(n);

    // Out of the tree and in again, on every level; a pick looks down each tree once more.
    CHECK(steps_of(rig, now, [&](Nanos t) { running = rig.next(kW0, t); }) <= 6 * log);
    CHECK(steps_of(rig, now, [&](Nanos t) {
            rig.s.halt(kW0, t);
            const VcpuId asleep = running;
            running = rig.pick(kW0, t);
            rig.s.interrupt_posted(asleep, t);
          }) <= 10 * log);
    CHECK(steps_of(rig, now, [&](Nanos t) {
            if (rig.s.spin(kW0, t - 1ms, true)) running = rig.next(kW0, t);
          }) <= 10 * log);
  }
}

}  // namespace

TEST_CASE("growth: turns, sleeps and yields visit O(log n) nodes among 16,384 vCPUs of one VM") {
  check_growth(16384);
}

TEST_CASE("growth: and among 1,024 VMs of 16 vCPUs") { check_growth(16); }

TEST_CASE("growth: a move to another worker does not depend on how many wait there") {
  for (const uint32_t n : {64u, 16384u}) {
    CAPTURE(n);
    Setup setup = crowd(n, 16, "fair");
    setup.workers = 2;
    SchedulerRig rig(setup);
    rig.start_all();
    rig.pick(kW0, 1ms);
    Nanos now = 1ms;
    // The other worker has its half as well; it looks for a fairer spread at every balance interval.
    rig.pick(kW1, now);
    CHECK(steps_of(rig, now, [&](Nanos t) { rig.next(kW1, t + setup.tuning.balance_interval); }) <=
          12 * std::log2(n));
  }
}
