// What the live view makes of two looks at a machine.
#include <doctest/doctest.h>

#include "vmm/live/frame.h"

using namespace vmm;
using namespace std::chrono_literals;

namespace {

LiveSample sample_at(Nanos at) {
  LiveSample sample;
  sample.machine.at = at;
  for (uint32_t i = 0; i < 2; ++i) {
    VcpuView& vcpu = sample.machine.vcpus.emplace_back();
    vcpu.id = sched::VcpuId{i};
    vcpu.index = VcpuIndex{i};
    vcpu.state = sched::RunState::kQueued;
    sample.counted.emplace_back();
    sample.guests.emplace_back();
  }
  sample.machine.workers.emplace_back();
  sample.tsc_khz = 1e6;  // a tick is a nanosecond
  return sample;
}

LiveFrame between(const LiveSample& from, const LiveSample& to) {
  LiveFrame frame;
  show_between(from, to, frame);
  return frame;
}

}  // namespace

TEST_CASE("live: shares of a vCPU's time are of the time between the looks, spinning taken out of running") {
  LiveSample from = sample_at(10s);
  LiveSample to = sample_at(11s);
  from.machine.vcpus[0].times = {.running = 5s, .waiting = 3s, .halted = 2s, .stopped = 0s};
  to.machine.vcpus[0].times = {.running = 5500ms, .waiting = 3300ms, .halted = 2200ms, .stopped = 0s};
  from.guests[0].spinning = 1s;
  to.guests[0].spinning = 1100ms;
  const LiveShares shares = between(from, to).vcpus[0].shares;
  CHECK(shares.run == doctest::Approx(0.4));
  CHECK(shares.spin == doctest::Approx(0.1));
  CHECK(shares.wait == doctest::Approx(0.3));
  CHECK(shares.halt == doctest::Approx(0.2));
}

TEST_CASE("live: no share is negative or more than all, whatever a guest says or a look missed") {
  LiveSample from = sample_at(10s);
  LiveSample to = sample_at(11s);
  from.machine.vcpus[0].times.running = 2s;
  to.machine.vcpus[0].times.running = 1s;  // a stretch that was counted twice before
  to.machine.vcpus[1].times.running = 900ms;
  from.guests[0].spinning = 3s;
  to.guests[1].spinning = 1000s;
  from.counted[0].sched.spin_exits = 9;
  const LiveFrame frame = between(from, to);
  CHECK(frame.vcpus[0].shares.run == 0);
  CHECK(frame.vcpus[0].shares.spin == 0);
  CHECK(frame.vcpus[1].shares.run == 0);
  CHECK(frame.vcpus[1].shares.spin == doctest::Approx(0.9));
}

TEST_CASE("live: events become rates a second, of all vCPUs together") {
  LiveSample from = sample_at(1s);
  LiveSample to = sample_at(1500ms);
  for (size_t i = 0; i < 2; ++i) {
    auto& sched = to.counted[i].sched;
    sched.yields_done[0] = 10;
    sched.yields_done[3] = 5;
    sched.yield_hits = 8;
    sched.yield_misses = 3;
    sched.yield_harmful = 1;
    sched.pulls = 2;
    sched.switches_in = 100 * (i + 1);
    to.counted[i].account.kick_count = 7;
    to.counted[i].account.exit_count = 50;
    to.guests[i].operations = 11;
  }
  to.steals = 4;
  to.balances = 1;
  const LiveFrame frame = between(from, to);
  REQUIRE(frame.rates);
  CHECK(frame.rates->yields == doctest::Approx(60));
  CHECK(frame.rates->hits == doctest::Approx(32));
  CHECK(frame.rates->misses == doctest::Approx(12));
  CHECK(frame.rates->harmful == doctest::Approx(4));
  CHECK(frame.rates->pulls == doctest::Approx(8));
  CHECK(frame.rates->switches == doctest::Approx(600));
  CHECK(frame.rates->kicks == doctest::Approx(28));
  CHECK(frame.rates->exits == doctest::Approx(200));
  CHECK(frame.rates->steals == doctest::Approx(8));
  CHECK(frame.rates->balances == doctest::Approx(2));
  REQUIRE(frame.rates->operations);
  CHECK(*frame.rates->operations == doctest::Approx(44));
  CHECK(frame.vcpus[1].switches == doctest::Approx(400));
}

TEST_CASE("live: a vCPU's latency is of what was acknowledged lately, over a counter that ran over as well") {
  LiveSample from = sample_at(1s);
  LiveSample to = sample_at(2s);
  CHECK_FALSE(between(from, to).vcpus[0].ipi_p99);
  from.guests[0].acks[40] = 0xffffffff;
  to.guests[0].acks[40] = 99;  // 100 more
  const auto p99 = between(from, to).vcpus[0].ipi_p99;
  REQUIRE(p99);
  CHECK(*p99 > 0ns);
  CHECK(*p99 < 1s);
  to.guests.clear();
  from.guests.clear();
  CHECK_FALSE(between(from, to).vcpus[0].ipi_p99);
  CHECK_FALSE(between(from, to).rates->operations);
}

TEST_CASE("live: who is on a worker, what it does without one, and who waits there") {
  LiveSample from = sample_at(1s);
  LiveSample to = sample_at(2s);
  from.machine.workers[0].busy = 4s;
  WorkerView& worker = to.machine.workers[0];
  worker.busy = 4750ms;
  worker.doing = WorkerView::Doing::kGuest;
  worker.vcpu = sched::VcpuId{1};
  worker.runnable = 3;
  to.machine.vcpus[1].state = sched::RunState::kRunning;
  to.machine.vcpus[1].worker = sched::WorkerId{0};
  LiveFrame frame = between(from, to);
  CHECK(frame.workers[0].load == doctest::Approx(0.75));
  CHECK(frame.workers[0].runs == "0.1");
  CHECK(frame.workers[0].waiting == 2);
  CHECK(frame.vcpus[1].state == "on w0");
  CHECK(frame.vcpus[0].state == "waits");
  worker.vcpu.reset();
  worker.doing = WorkerView::Doing::kAsleep;
  frame = between(from, to);
  CHECK(frame.workers[0].runs == "");
  CHECK(frame.workers[0].doing == "sleeps");
  CHECK(frame.workers[0].waiting == 3);
}

TEST_CASE("live: where the host schedules, a thread that did not compute waited") {
  LiveSample from = sample_at(1s);
  LiveSample to = sample_at(2s);
  to.host_schedules = true;
  to.machine.vcpus[0].times.running = 800ms;
  to.machine.vcpus[0].times.halted = 200ms;
  to.machine.vcpus[0].state = sched::RunState::kRunning;
  to.counted[0].sched.times.running = 300ms;
  const LiveFrame frame = between(from, to);
  CHECK(frame.workers.empty());
  CHECK(frame.vcpus[0].state == "runnable");
  CHECK(frame.vcpus[0].shares.run == doctest::Approx(0.3));
  CHECK(frame.vcpus[0].shares.wait == doctest::Approx(0.5));
  CHECK(frame.vcpus[0].shares.halt == doctest::Approx(0.2));
}

TEST_CASE("live: looks at two machines, or at one moment, show nothing") {
  LiveSample from = sample_at(1s);
  LiveSample to = sample_at(2s);
  to.machine.vcpus.pop_back();
  CHECK(between(from, to).vcpus.empty());
  CHECK_FALSE(between(from, from).rates);
}
