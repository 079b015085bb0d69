// Virtual time against figures worked out by hand.
#include "tests/sim/sim_support.h"

using namespace sched;
using namespace sched::sim;

namespace {

CostProfile round_figures() {
  CostProfile costs = free_host();
  costs.exit_user = Nanos{2000};
  costs.exit_kernel = Nanos{1000};
  costs.preempt_user = Nanos{3000};
  costs.handle = Nanos{100};
  costs.kick_send = Nanos{10};
  costs.kick_latency = Nanos{500};
  costs.timer_latency = Nanos{1000};
  costs.inject = Nanos{50};
  costs.stub = Nanos{20};
  return costs;
}

}  // namespace

TEST_CASE("alone on a free host a vCPU does nothing but work, and no tick disturbs it") {
  Config config = config_of("fair", GuestKind::kCompute, workload_of(GuestKind::kCompute), {1, 1, 1});
  config.costs = free_host();
  Simulator simulator(config);
  simulator.run_until(kSecond);
  const VcpuReport report = simulator.report(VcpuId{0});
  CHECK(at(report, Place::kGuest) == kSecond);
  CHECK(report.sched.times.running == kSecond);
  CHECK(report.kicks == 0);
  CHECK(report.exits == 0);
  CHECK(report.counters.work <= kSecond);
  CHECK(report.counters.work > kSecond - Nanos{62'500});  // but for the turn that is not over
  CHECK(simulator.busy(WorkerId{0}) == kSecond);
}

// Send → half an exit and its handling → kick → latency → half a preemption and its handling → injection →
// half a preemption back in: there the handler counts.
TEST_CASE("an IPI between running vCPUs takes the sum of its parts, each time") {
  Workload workload = workload_of(GuestKind::kIpi);
  workload.senders = 1;
  Config config = config_of("fair", GuestKind::kIpi, workload, {2, 1, 2});
  config.costs = round_figures();
  config.spin_window = {};
  Simulator simulator(config);
  simulator.run_until(kSecond);
  const uint64_t acked = simulator.report(VcpuId{0}).counters.ipis_acked;
  CHECK(acked > 4500);
  constexpr uint64_t kAck = 1000 + 100 + 500 + 1500 + 100 + 50 + 1500;
  CHECK(simulator.acks(VmId{0})[ack_bucket(kAck)] == acked);
  CHECK(simulator.report(VcpuId{0}).counters.operations == acked);

  const VcpuReport receiver = simulator.report(VcpuId{1});
  CHECK(receiver.sched.eois == acked);
  CHECK(receiver.kicks == acked);
  CHECK(receiver.exits == acked);  // one EOI each
  constexpr int64_t kExitTime = (3000 + 100) + (1000 + 100);
  const int64_t expected = static_cast<int64_t>(acked) * kExitTime;
  CHECK(at(receiver, Place::kExits).count() >= expected);
  CHECK(at(receiver, Place::kExits).count() <= expected + kExitTime);
  CHECK(at(receiver, Place::kInjection) == Nanos{50} * static_cast<int64_t>(acked));

  // The sender spins from its own re-entry until the handler counts.
  const VcpuReport sender = simulator.report(VcpuId{0});
  constexpr int64_t kSpins = kAck - (1000 + 100 + 10 + 1000);
  CHECK(at(sender, Place::kSpinning).count() >= static_cast<int64_t>(acked) * kSpins);
  CHECK(at(sender, Place::kSpinning).count() <= static_cast<int64_t>(acked + 2) * kSpins);
}

TEST_CASE("a turn lasts a slice, the timer's latency and half a preemption") {
  Config config = config_of("rr,slice=1ms", GuestKind::kCompute, workload_of(GuestKind::kCompute), {1, 1, 2});
  config.costs = round_figures();
  config.costs.vcpu_switch = Nanos{700};
  Simulator simulator(config);
  simulator.run_until(kSecond);
  constexpr int64_t kTurn = 1'000'000 + 1000 + 1500 + 100;
  uint64_t turns = 0;
  Nanos switching{};
  for (uint32_t i = 0; i < 2; ++i) {
    turns += simulator.report(VcpuId{i}).sched.preemptions;
    switching += at(simulator.report(VcpuId{i}), Place::kMigration);
  }
  CHECK(turns == kSecond.count() / kTurn);
  CHECK(switching == Nanos{700} * static_cast<int64_t>(turns + 1));
}

TEST_CASE("the bell rings after a window of executed spinning, and not while a spinner is preempted") {
  // vCPU 0 sends to vCPU 1, which runs on the same worker and only gets there when the slice is over.
  Workload workload = workload_of(GuestKind::kIpi);
  workload.senders = 1;
  Config config = config_of("rr,slice=1ms", GuestKind::kIpi, workload, {1, 1, 2});
  config.costs = free_host();
  config.spin_window = Nanos{100'000};
  Simulator simulator(config);
  simulator.run_until(kSecond);
  const VcpuReport sender = simulator.report(VcpuId{0});
  const int64_t windows = at(sender, Place::kSpinning) / config.spin_window;
  CHECK(windows > 1000);
  // Each wait begins a new window; a wait is over when the receiver's slice begins.
  CHECK(sender.sched.spin_exits <= static_cast<uint64_t>(windows));
  CHECK(sender.sched.spin_exits + sender.counters.operations + 1 >= static_cast<uint64_t>(windows));
}

TEST_CASE("a spinner that is alone and is told so rings after an eighth of a window") {
  Workload workload = workload_of(GuestKind::kIpi);
  workload.senders = 1;
  for (const bool told : {false, true}) {
    CAPTURE(told);
    const std::string policy = told ? "rr,slice=1ms,running-hint=on" : "rr,slice=1ms";
    Config config = config_of(policy, GuestKind::kIpi, workload, {1, 1, 2});
    config.costs = free_host();
    config.spin_window = Nanos{80'000};
    Simulator simulator(config);
    simulator.run_until(kSecond);
    const VcpuReport sender = simulator.report(VcpuId{0});
    const auto exits = static_cast<int64_t>(sender.sched.spin_exits);
    CHECK(exits > 1000);
    const Nanos window = at(sender, Place::kSpinning) / exits;
    CHECK(window >= (told ? Nanos{10'000} : config.spin_window));
    CHECK(window < (told ? Nanos{12'000} : 5 * config.spin_window / 4));  // waits that end within theirs
  }
}

TEST_CASE("the host steals what the profile says, and a spinner sees nothing meanwhile") {
  Config config = config_of("fair", GuestKind::kLock, workload_of(GuestKind::kLock), {2, 1, 2});
  config.costs.noise_interval = Nanos{1'000'000};
  config.costs.noise_length = Nanos{100'000};
  Simulator simulator(config);
  simulator.run_until(10 * kSecond);
  for (uint32_t i = 0; i < 2; ++i) {
    const double share = static_cast<double>(at(simulator.report(VcpuId{i}), Place::kStolen).count()) /
                         static_cast<double>(simulator.busy(WorkerId{i}).count());
    CHECK(share > 0.08);
    CHECK(share < 0.10);  // 100 of every 1100 µs
  }
}

TEST_CASE("CPL 0 code is slower by the profile's factor and leaves by the cheaper exit") {
  const Workload workload = workload_of(GuestKind::kLock);
  Config config = config_of("fair", GuestKind::kLock, workload, {2, 1, 2});
  config.costs.noise_interval = {};
  config.costs.kernel_slowdown = 10;
  Simulator user(config);
  config.vms[0].kernel = true;
  Simulator kernel(config);
  user.run_until(kSecond);
  kernel.run_until(kSecond);
  const double ratio =
      static_cast<double>(operations(user, 0, 2)) / static_cast<double>(operations(kernel, 0, 2));
  CHECK(ratio > 9.0);
  CHECK(ratio < 11.0);
}

// A spinner that waits for an IPI's receiver on its own CPU: sched_yield() forfeits the rest of its request
// among all threads, so the receiver runs and the wait ends within one window and one exit, not with the
// turn.
TEST_CASE("sched_yield() lets the next thread run, whatever VM it is of") {
  Workload workload = workload_of(GuestKind::kIpi);
  workload.senders = 1;
  Config config = host_config(GuestKind::kIpi, workload, {1, 1, 2}, Threads::kHostYield);
  config.costs = free_host();
  Simulator simulator(config);
  simulator.run_until(kSecond);
  const VcpuReport sender = simulator.report(VcpuId{0});
  CHECK(sender.counters.operations > 100);
  // One bell ends most waits; a turn without the yield would have room for more than fifty windows.
  CHECK(at(sender, Place::kSpinning) <
        2 * config.spin_window * static_cast<int64_t>(sender.counters.operations));
}

TEST_CASE("the host takes threads off at its ticks only") {
  Config config =
      host_config(GuestKind::kCompute, workload_of(GuestKind::kCompute), {1, 3, 1}, Threads::kHost);
  config.costs = free_host();
  config.costs.host_tick = Nanos{10'000'000};
  Simulator simulator(config);
  simulator.run_until(3 * kSecond);
  uint64_t turns = 0;
  for (uint32_t i = 0; i < 3; ++i) turns += simulator.report(VcpuId{i}).sched.switches_in;
  CHECK(turns >= 299);
  CHECK(turns <= 302);
}

TEST_CASE("a planted handicap costs exactly its share") {
  Config config = config_of("fair", GuestKind::kCompute, workload_of(GuestKind::kCompute), {1, 1, 2});
  config.costs = free_host();
  Simulator whole(config);
  config.vms[0].handicap_percent = 20;
  Simulator lame(config);
  whole.run_until(kSecond);
  lame.run_until(kSecond);
  const double ratio =
      static_cast<double>(operations(lame, 0, 2)) / static_cast<double>(operations(whole, 0, 2));
  CHECK(ratio > 0.79);
  CHECK(ratio < 0.81);
}
