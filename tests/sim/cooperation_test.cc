// Guests that publish what they own and wait for, that are told when they run, and that sleep for a lock.
#include <numeric>

#include "sim_support.h"

using namespace sched;
using namespace sched::sim;

namespace {

struct Judged {
  uint64_t done = 0;
  uint64_t right = 0;
  uint64_t possible = 0;
};

Judged judged(std::string_view policy, GuestKind guest, const Workload& workload, Shape shape) {
  Config config = config_of(policy, guest, workload, shape);
  config.setup.judges_yields = true;
  Simulator simulator(config);
  simulator.run_until(kSecond);
  Judged sum;
  for (uint32_t i = 0; i < shape.vms * shape.vcpus; ++i) {
    const VcpuStats stats = simulator.report(VcpuId{i}).sched;
    sum.done = std::accumulate(stats.yields_done.begin(), stats.yields_done.end(), sum.done);
    sum.right = std::accumulate(stats.yields_right.begin(), stats.yields_right.end(), sum.right);
    sum.possible += stats.right_possible;
  }
  return sum;
}

uint64_t total_of(const Config& config, auto field) {
  Simulator simulator(config);
  simulator.run_until(kSecond);
  uint64_t total = 0;
  for (uint32_t i = 0; i < simulator.scheduler().vcpus(); ++i) total += field(simulator.report(VcpuId{i}));
  return total;
}

Workload ticket() {
  Workload workload = workload_of(GuestKind::kLock);
  workload.lock = LockKind::kTicket;
  return workload;
}

}  // namespace

TEST_CASE("oracle: where one waits that the yielder needs, it is yielded to, whatever the guest waits for") {
  for (const GuestKind guest : {GuestKind::kLock, GuestKind::kIpi, GuestKind::kMixed}) {
    CAPTURE(static_cast<int>(guest));
    // Without a yield at the send, which asks for no opinion.
    const Workload workload = guest == GuestKind::kLock ? ticket() : workload_of(guest);
    const Judged oracle =
        judged("oracle,yield-on-send=off,pack=off,affinity=off,extend=off", guest, workload, {2, 2, 4});
    REQUIRE(oracle.possible > 50);
    CHECK(oracle.right == oracle.possible);
  }
}

TEST_CASE("oracle: a guess is right no more often than it could be, and mainline's less often than kvmux'") {
  const Judged mainline = judged("yield", GuestKind::kLock, ticket(), {2, 2, 4});
  const Judged kvmux = judged("kvmux,pack=off,affinity=off", GuestKind::kLock, ticket(), {2, 2, 4});
  for (const Judged& guess : {mainline, kvmux}) {
    CHECK(guess.right <= guess.possible);
    CHECK(guess.right <= guess.done);
    REQUIRE(guess.possible > 100);
  }
  const auto share = [](const Judged& j) { return static_cast<double>(j.right) / static_cast<double>(j.possible); };
  MESSAGE("right of possible: yield " << share(mainline) << ", kvmux " << share(kvmux));
  CHECK(share(mainline) < share(kvmux));
}

TEST_CASE("judging yields changes none of them") {
  Config config = config_of("kvmux", GuestKind::kMixed, workload_of(GuestKind::kMixed), {2, 3, 4});
  const auto operations = [](const VcpuReport& report) { return report.counters.operations; };
  const uint64_t before = total_of(config, operations);
  config.setup.judges_yields = true;
  CHECK(total_of(config, operations) == before);
}

TEST_CASE("lock=pv: who waits for longer than a window sleeps, every sleeper is woken, and nobody rings") {
  Workload workload = workload_of(GuestKind::kLock);
  workload.lock = LockKind::kPv;
  const Shape shape{2, 2, 4};
  const Config config = config_of("fair", GuestKind::kLock, workload, shape);
  Simulator simulator(config);
  simulator.run_until(kSecond);
  uint64_t wakeups = 0;
  Nanos halted{};
  for (uint32_t i = 0; i < 8; ++i) {
    const VcpuReport report = simulator.report(VcpuId{i});
    CHECK(report.counters.operations > 500);
    wakeups += report.counters.wakeups;
    halted += report.sched.times.halted;
    CHECK(report.sched.spin_exits < 100);  // at the first barrier
  }
  CHECK(wakeups > 1000);
  CHECK(halted > kSecond);
}

TEST_CASE("lock=pv: without contention nobody sleeps") {
  Workload workload = workload_of(GuestKind::kLock);
  workload.lock = LockKind::kPv;
  const Config config = config_of("fair", GuestKind::kLock, workload, {1, 1, 1});
  CHECK(total_of(config, [](const VcpuReport& report) { return report.counters.wakeups; }) == 0);
}

TEST_CASE("extend: a vCPU inside a critical section is taken off less often, and others wait less for it") {
  Workload workload = workload_of(GuestKind::kLock);
  const auto spinning = [](const VcpuReport& report) {
    return static_cast<uint64_t>(at(report, Place::kSpinning).count());
  };
  for (const char* how : {"critical", "asked"}) {
    CAPTURE(how);
    const std::string with = std::string{"fair,slice=1ms,extend="} + how;
    const uint64_t without = total_of(config_of("fair,slice=1ms", GuestKind::kLock, workload, {2, 2, 4}), spinning);
    CHECK(total_of(config_of(with, GuestKind::kLock, workload, {2, 2, 4}), spinning) < without / 2);
    const auto extensions = [](const VcpuReport& report) { return report.sched.extensions; };
    CHECK(total_of(config_of(with, GuestKind::kLock, workload, {2, 2, 4}), extensions) > 100);
  }
}

TEST_CASE("tell-turn-end: a lock is not taken that would be held when the turn is over") {
  Workload workload = workload_of(GuestKind::kLock);
  const auto spinning = [](const VcpuReport& report) {
    return static_cast<uint64_t>(at(report, Place::kSpinning).count());
  };
  const uint64_t without = total_of(config_of("yield,slice=1ms", GuestKind::kLock, workload, {2, 2, 4}), spinning);
  const uint64_t told =
      total_of(config_of("yield,slice=1ms,tell-turn-end=on", GuestKind::kLock, workload, {2, 2, 4}), spinning);
  CHECK(told < without / 2);
}

TEST_CASE("tell-preempted: who waits for an owner without a CPU rings after an eighth of its window") {
  Workload workload = workload_of(GuestKind::kLock);
  workload.think = Nanos{100'000};
  workload.hold = 5 * kMs;  // always preempted inside
  const auto measure = [&](const char* policy) {
    Config config = config_of(policy, GuestKind::kLock, workload, {1, 1, 2});
    config.costs = free_host();
    config.spin_window = Nanos{80'000};
    Simulator simulator(config);
    simulator.run_until(kSecond);
    Nanos spent{};
    uint64_t exits = 0;
    for (uint32_t i = 0; i < 2; ++i) {
      const VcpuReport report = simulator.report(VcpuId{i});
      spent += at(report, Place::kSpinning);
      exits += report.sched.spin_exits;
    }
    REQUIRE(exits > 10);
    return spent / static_cast<int64_t>(exits);
  };
  CHECK(measure("rr,slice=1ms") >= Nanos{80'000});
  const Nanos told = measure("rr,slice=1ms,tell-preempted=on");
  CHECK(told >= Nanos{10'000});
  CHECK(told < Nanos{12'000});
}
