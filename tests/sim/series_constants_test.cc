// What the series' own constants rule out.
#include <doctest/doctest.h>

#include "sim_support.h"

using namespace sched;
using namespace sched::sim;

namespace {

struct Outcome {
  uint64_t events = 0;
  uint64_t operations = 0;
  uint64_t penalties = 0;
};

Outcome run(std::string_view policy, GuestKind guest, Shape shape) {
  Simulator simulator(config_of(policy, guest, workload_of(guest), shape));
  simulator.run_until(kSecond);
  Outcome outcome{.operations = operations(simulator, 0, shape.vms * shape.vcpus)};
  outcome.events = simulator.events();
  for (uint32_t i = 0; i < shape.vms * shape.vcpus; ++i)
    outcome.penalties += simulator.report(VcpuId{i}).sched.penalties;
  return outcome;
}

}  // namespace

TEST_CASE("v2's debounce cannot act: a pair is kept once in 6 ms and looked at for 600 us") {
  uint64_t penalties = 0;
  for (const GuestKind guest : kAllGuests) {
    for (const Shape shape : {Shape{2, 2, 4}, Shape{4, 1, 12}}) {
      const Outcome with = run("v2", guest, shape);
      const Outcome without = run("v2,debounce-window=0", guest, shape);
      CHECK(with.events == without.events);
      CHECK(with.operations == without.operations);
      CHECK(with.penalties == without.penalties);
      penalties += with.penalties;
    }
  }
  CHECK(penalties > 0);  // or nothing was tried
}

TEST_CASE("the debounce acts where penalties may follow each other") {
  const Outcome with = run("v2,penalty-interval=0,debounce-window=6ms", GuestKind::kLock, {2, 2, 4});
  const Outcome without = run("v2,penalty-interval=0,debounce-window=0", GuestKind::kLock, {2, 2, 4});
  CHECK(with.events != without.events);
}
