#include "vmm/run/rotation.h"

#include <doctest/doctest.h>

using namespace vmm;
using namespace std::chrono_literals;

namespace {
constexpr sched::WorkerId kW0{0};
constexpr sched::WorkerId kW1{1};
}  // namespace

TEST_CASE("rotation: once an interval all workers move on by one CPU") {
  Rotation rotation({3, 5, 9}, 2, 100ms);
  CHECK(rotation.cpu_of(kW0) == 3);
  CHECK(rotation.cpu_of(kW1) == 5);
  const Nanos start = monotonic_now();
  CHECK_FALSE(rotation.due(start));
  CHECK(rotation.due(start + 101ms));
  CHECK_FALSE(rotation.due(start + 101ms));  // one worker is told
  CHECK(rotation.cpu_of(kW0) == 5);
  CHECK(rotation.cpu_of(kW1) == 9);
  CHECK_FALSE(rotation.due(start + 200ms));
  CHECK(rotation.due(start + 202ms));
  CHECK(rotation.cpu_of(kW0) == 9);
  CHECK(rotation.cpu_of(kW1) == 3);
}

TEST_CASE("rotation: never with an interval of 0, one worker or one CPU") {
  CHECK_FALSE(Rotation({0, 1}, 2, 0ms).due(monotonic_now() + 1h));
  CHECK_FALSE(Rotation({0, 1}, 1, 1ms).due(monotonic_now() + 1h));
  CHECK_FALSE(Rotation({4}, 3, 1ms).due(monotonic_now() + 1h));
  CHECK(Rotation({4}, 3, 1ms).cpu_of(sched::WorkerId{2}) == 4);
}
