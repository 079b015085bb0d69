#include "vmm/run/pulse.h"

#include <doctest/doctest.h>

#include "vmm/run/look.h"

using namespace vmm;
using Doing = WorkerView::Doing;

TEST_CASE("pulse: places, times and beats of a thread as others see them") {
  Pulse pulse;
  CHECK(view_of(pulse, Kicks::Phase::kBusy, 7, Nanos{5}).doing == Doing::kParked);
  pulse.leaves(Nanos{10});  // comes from the barrier
  WorkerView view = view_of(pulse, Kicks::Phase::kBusy, 7, Nanos{11});
  CHECK(view.doing == Doing::kSwitching);
  CHECK(!view.vcpu);
  CHECK(view.thread == 7);
  const uint64_t beats = view.beats;
  pulse.hosts(sched::VcpuId{3}, Nanos{20});
  pulse.beat();
  view = view_of(pulse, Kicks::Phase::kGuest, 7, Nanos{50});
  CHECK(view.doing == Doing::kGuest);
  CHECK(view.vcpu == sched::VcpuId{3});
  CHECK(view.since == Nanos{20});
  CHECK(view.busy == Nanos{30});
  CHECK(view.beats > beats + 1);
  CHECK(view_of(pulse, Kicks::Phase::kBusy, 7, Nanos{50}).doing == Doing::kHandling);
  pulse.leaves(Nanos{60});
  pulse.sleeps(Nanos{61});
  view = view_of(pulse, Kicks::Phase::kSleeping, 7, Nanos{70});
  CHECK(view.doing == Doing::kAsleep);
  CHECK(!view.vcpu);
  CHECK(view.busy == Nanos{40});
  pulse.leaves(Nanos{80});
  pulse.parks(Nanos{90});
  CHECK(view_of(pulse, Kicks::Phase::kBusy, 7, Nanos{100}).parked == Nanos{10});
  pulse.leaves(Nanos{110});
  view = view_of(pulse, Kicks::Phase::kBusy, 7, Nanos{200});
  CHECK(view.parked == Nanos{20});
  CHECK(view.busy == Nanos{40});
}
