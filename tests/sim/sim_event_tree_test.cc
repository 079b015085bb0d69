#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "sched/base/rng.h"
#include "sched/sim/bits.h"
#include "sched/sim/event_tree.h"

using namespace sched;
using namespace sched::sim;

TEST_CASE("the event tree agrees with a search through all sources, ties to the lower one") {
  for (const uint32_t sources : {1u, 2u, 3u, 16u, 33u}) {
    CAPTURE(sources);
    EventTree tree(sources);
    std::vector<Nanos> model(sources, kForever);
    CHECK(tree.time() == kForever);
    Rng rng(sources);
    for (int i = 0; i < 5000; ++i) {
      const uint32_t source = static_cast<uint32_t>(rng.below(sources));
      const Nanos at = rng.below(8) == 0 ? kForever : Nanos{static_cast<int64_t>(rng.below(50))};
      tree.set(source, at);
      model[source] = at;
      const auto first = std::min_element(model.begin(), model.end());
      REQUIRE(tree.time() == *first);
      REQUIRE(tree.time_of(source) == at);
      if (*first != kForever) REQUIRE(tree.source() == first - model.begin());
    }
  }
}

TEST_CASE("bits: sets across words, common members, the n-th of them") {
  Bits a(130);
  Bits b(130);
  CHECK(a.empty());
  for (const uint32_t i : {0u, 63u, 64u, 129u}) a.insert(i);
  for (const uint32_t i : {63u, 65u, 129u}) b.insert(i);
  CHECK(a.contains(64));
  CHECK_FALSE(a.contains(65));
  CHECK(a.count_also_in(b) == 2);
  CHECK(a.nth_also_in(b, 0) == 63);
  CHECK(a.nth_also_in(b, 1) == 129);
  std::vector<uint32_t> seen;
  a.for_each([&](uint32_t i) {
    seen.push_back(i);
    a.erase(i);
  });
  CHECK(seen == std::vector<uint32_t>{0, 63, 64, 129});
  CHECK(a.empty());
  a.take(b);
  CHECK(b.empty());
  CHECK(a.contains(65));
}
