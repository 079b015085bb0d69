// What must hold in every run, whatever policy, guest and seed. A failure prints them, and the run repeats.
#include "tests/sim/sim_support.h"

using namespace sched;
using namespace sched::sim;

namespace {

constexpr Nanos kRun = 120 * kMs;

// Deep enough for preempted lock holders, small enough for a thousand runs.
Shape shape_of(uint64_t seed) {
  return {.workers = static_cast<uint32_t>(1 + seed % 3),
          .vms = static_cast<uint32_t>(1 + seed % 2),
          .vcpus = static_cast<uint32_t>(2 + seed % 4)};
}

void check_accounts(const Simulator& simulator, const Shape& shape) {
  for (uint32_t i = 0; i < shape.vms * shape.vcpus; ++i) {
    CAPTURE(i);
    const VcpuReport report = simulator.report(VcpuId{i});
    REQUIRE(sum(report.sched.times) == simulator.now());
    REQUIRE(sum(report.places) == report.sched.times.running);
    for (const Nanos time : report.places) REQUIRE(time >= Nanos{0});
    REQUIRE(report.counters.work <= at(report, Place::kGuest));
    REQUIRE(report.counters.errors == 0);
  }
  Nanos busy{};
  Nanos running{};
  for (uint32_t w = 0; w < shape.workers; ++w) {
    REQUIRE(simulator.busy(WorkerId{w}) <= simulator.now());
    busy += simulator.busy(WorkerId{w});
  }
  for (uint32_t i = 0; i < shape.vms * shape.vcpus; ++i) {
    running += simulator.report(VcpuId{i}).sched.times.running;
  }
  REQUIRE(busy == running);
}

}  // namespace

TEST_CASE("accounts add up to the nanosecond, guests see no error, every VM gets on") {
  for (const std::string_view policy : kOurPresets) {
    for (const GuestKind guest : kAllGuests) {
      for (uint64_t seed = 1; seed <= 6; ++seed) {
        const Shape shape = shape_of(seed);
        CAPTURE(policy);
        CAPTURE(static_cast<int>(guest));
        CAPTURE(seed);
        Simulator simulator(config_of(policy, guest, workload_of(guest), shape, seed));
        uint64_t last = 0;
        for (Nanos end = kRun / 3; end <= kRun; end += kRun / 3) {
          simulator.run_until(end);
          check_accounts(simulator, shape);
          for (uint32_t vm = 0; vm < shape.vms && end == kRun; ++vm) {
            REQUIRE(operations(simulator, vm * shape.vcpus, shape.vcpus) > 0);
          }
          const uint64_t now = operations(simulator, 0, shape.vms * shape.vcpus);
          REQUIRE(now > last);
          last = now;
        }
        simulator.scheduler().check();
      }
    }
  }
}

TEST_CASE("no wake-up is lost: pairs that wake each other out of HLT never stop") {
  for (const std::string_view policy : kOurPresets) {
    CAPTURE(policy);
    const Shape shape{2, 2, 5};  // the fifth has no partner and sleeps for ever
    Simulator simulator(config_of(policy, GuestKind::kPingpong, {.think = Nanos{10'000}}, shape));
    std::array<uint64_t, 10> last{};
    for (int step = 1; step <= 5; ++step) {
      simulator.run_until(100 * kMs * step);
      for (uint32_t i = 0; i < 10; ++i) {
        CAPTURE(i);
        const VcpuReport report = simulator.report(VcpuId{i});
        if (i % 5 == 4) {
          REQUIRE(report.counters.operations == 0);
          continue;
        }
        REQUIRE(report.counters.operations > last[i]);
        last[i] = report.counters.operations;
      }
    }
  }
}

TEST_CASE("the same seed gives the same run however it is cut into steps, another seed a different one") {
  for (const std::string_view policy : {"yield", "kvmux", "gang"}) {
    CAPTURE(policy);
    const Shape shape{3, 2, 4};
    const Workload workload = workload_of(GuestKind::kMixed);
    Simulator once(config_of(policy, GuestKind::kMixed, workload, shape, 7));
    Simulator steps(config_of(policy, GuestKind::kMixed, workload, shape, 7));
    Simulator other(config_of(policy, GuestKind::kMixed, workload, shape, 8));
    once.run_until(kRun);
    for (Nanos end{}; end <= kRun; end += Nanos{37'777}) steps.run_until(end);
    steps.run_until(kRun);
    other.run_until(kRun);
    CHECK(once.events() == steps.events());
    bool differs = false;
    for (uint32_t i = 0; i < 8; ++i) {
      const VcpuReport a = once.report(VcpuId{i});
      const VcpuReport b = steps.report(VcpuId{i});
      const VcpuReport c = other.report(VcpuId{i});
      CHECK(a.places == b.places);
      CHECK(a.counters.operations == b.counters.operations);
      CHECK(a.sched.times.waiting == b.sched.times.waiting);
      CHECK(a.sched.switches_in == b.sched.switches_in);
      differs = differs || a.places != c.places;
    }
    CHECK(differs);
  }
}

TEST_CASE("workers do not idle while somebody waits, and equal vCPUs get equal shares") {
  for (const std::string_view policy : {"fair", "kvmux", "rr"}) {
    CAPTURE(policy);
    Simulator simulator(config_of(policy, GuestKind::kCompute, workload_of(GuestKind::kCompute), {2, 3, 1}));
    simulator.run_until(2 * kSecond);
    for (uint32_t w = 0; w < 2; ++w) CHECK(simulator.busy(WorkerId{w}) > 2 * kSecond * 99 / 100);
    if (std::string_view(policy) == "rr") continue;  // it does not balance, only steal
    for (uint32_t i = 0; i < 3; ++i) {
      const double share = static_cast<double>(simulator.report(VcpuId{i}).sched.times.running.count()) / 4e9;
      CHECK(share > 0.30);
      CHECK(share < 0.37);
    }
  }
}

TEST_CASE("a spinner is noticed by its bell, by sampling, or not at all") {
  Config config = config_of("yield", GuestKind::kLock, workload_of(GuestKind::kLock), {2, 2, 4});
  const auto spin_exits = [](const Config& c) {
    Simulator simulator(c);
    simulator.run_until(kSecond);
    uint64_t total = 0;
    for (uint32_t i = 0; i < 8; ++i) total += simulator.report(VcpuId{i}).sched.spin_exits;
    return total;
  };
  const uint64_t rung = spin_exits(config);
  config.spin_window = {};
  CHECK(spin_exits(config) == 0);
  config.sample_spins = true;
  const uint64_t sampled = spin_exits(config);
  CHECK(sampled > 0);
  CHECK(sampled < rung);
}

TEST_CASE("host threads switch inside the kernel, and sched_yield helps spinners") {
  const Workload compute = workload_of(GuestKind::kCompute);
  Simulator quiet(host_config(GuestKind::kCompute, compute, {2, 2, 4}, Threads::kHost));
  quiet.run_until(kSecond);
  for (uint32_t i = 0; i < 8; ++i) {
    CHECK(quiet.report(VcpuId{i}).exits == 0);
    CHECK(quiet.report(VcpuId{i}).kicks == 0);
    CHECK(quiet.report(VcpuId{i}).sched.preemptions > 10);
  }
  const Workload lock = workload_of(GuestKind::kLock);
  Simulator host(host_config(GuestKind::kLock, lock, {2, 2, 4}, Threads::kHost));
  Simulator yielding(host_config(GuestKind::kLock, lock, {2, 2, 4}, Threads::kHostYield));
  host.run_until(kSecond);
  yielding.run_until(kSecond);
  CHECK(host.report(VcpuId{0}).sched.spin_exits == 0);
  CHECK(yielding.report(VcpuId{0}).sched.spin_exits > 0);
  CHECK(operations(yielding, 0, 8) > operations(host, 0, 8));
}
