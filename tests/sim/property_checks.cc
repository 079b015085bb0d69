// What the driver checks as it goes, and in check_all().
#include <doctest/doctest.h>

#include "property_driver.h"

namespace sched_test {

void Driver::remember_nominees(const EevdfQueue& queue) {
  const auto remember = [&](const Timeline& timeline) {
    if (const Entity* e = timeline.nominee())
      nominees_.push_back({&timeline, e, e->weight, -timeline.lag(*e)});
  };
  remember(queue.root());
  for (uint32_t g = 0; g < groups(); ++g) remember(queue.timeline(GroupId{g}));
}

// A nominee that runs now was within its limit when it was picked: eligible, or in a policy that pulls or urges no
// further ahead of the average than the nomination lag.
void Driver::check_nominees(WorkerId worker, VcpuId picked) {
  // A vCPU that came or went with this pick has moved averages and shares.
  if (s_.inspect(worker, [](RunQueue& queue) { return queue.runnable(); }) != runnable_before_) return;
  const Policy& policy = s_.policy(s_.vm_of(picked));
  const Nanos slack = policy.features.pull || policy.features.urgent ? policy.tuning.nomination_lag : 0ns;
  for (const Nominee& nominee : nominees_) {
    if (nominee.timeline->current() != nominee.entity) continue;
    // One tick for the rounding of the average.
    must(nominee.ahead <= to_virtual(slack, nominee.weight) + Vruntime{1}, "a nominee runs beyond its limit");
  }
}

namespace {

template <class Fn>
void for_each_member(const Timeline& timeline, Fn fn) {
  for (const Entity* e = timeline.tree().first(); e != nullptr; e = Tree::next(*e)) fn(*e);
  if (timeline.current() != nullptr) fn(*timeline.current());
}

void check_sums(const Timeline& timeline) {
  Int128 weighted = 0;
  Int128 lags = 0;
  int64_t load = 0;
  uint32_t members = 0;
  for_each_member(timeline, [&](const Entity& e) {
    weighted += static_cast<Int128>(e.weight.value) * e.vruntime.ticks;
    lags += static_cast<Int128>(e.weight.value) * timeline.lag(e).ticks;
    load += e.weight.value;
    ++members;
    must(e.deadline > e.vruntime, "a deadline lies ahead");
  });
  REQUIRE(members == timeline.members());
  REQUIRE(load == timeline.load().value);
  if (members == 0) return;
  // The average is maintained: it must be the recomputed one, rounded down.
  const Int128 average = timeline.average().ticks;
  REQUIRE(average * load <= weighted);
  REQUIRE((average + 1) * load > weighted);
  // Lags, weighted, sum to zero but for that rounding, which counts once for every unit of weight.
  REQUIRE(lags <= 0);
  REQUIRE(lags > -static_cast<Int128>(load));
}

}  // namespace

void Driver::check_all() {
  for (uint32_t w = 0; w < workers_.size(); ++w) {
    s_.inspect(WorkerId{w}, [&](RunQueue& queue) {
      auto* eevdf = dynamic_cast<EevdfQueue*>(&queue);
      if (eevdf == nullptr) return;
      check_sums(eevdf->root());
      for (uint32_t g = 0; g < groups(); ++g) check_sums(eevdf->timeline(GroupId{g}));
    });
  }
  for (uint32_t v = 0; v < s_.vcpus(); ++v) {
    const bool halted = s_.status(VcpuId{v}).state() == RunState::kHalted;
    must(!halted || !guests_[v].interrupt, "a wake-up is lost");
  }
}

}  // namespace sched_test
