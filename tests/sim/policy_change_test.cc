// Policies that change while model guests run.
#include <vector>

#include "sim_support.h"

using namespace sched;
using namespace sched::sim;

namespace {

std::vector<Policy> of_all(const Config& config, std::string_view text) {
  return std::vector<Policy>(config.vms.size(), *parse_policy(text));
}

uint64_t operations(const Simulator& simulator, uint32_t vcpus) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < vcpus; ++i) sum += simulator.report(VcpuId{i}).counters.operations;
  return sum;
}

constexpr Nanos ms(int64_t n) { return Nanos{n * 1'000'000}; }

}  // namespace

TEST_CASE("a change to the same policies changes nothing, to the last event") {
  for (const char* policy : {"yield", "v2", "kvmux", "rr"}) {
    CAPTURE(policy);
    const Config config = config_of(policy, GuestKind::kMixed, workload_of(GuestKind::kMixed), {});
    const std::vector<int64_t> none(config.vms.size(), 0);
    Simulator plain(config);
    Simulator changed(config);
    for (int i = 1; i <= 20; ++i) {
      plain.run_until(ms(10 * i));
      changed.run_until(ms(10 * i));
      changed.change_policies(of_all(config, policy), none);
    }
    CHECK(plain.events() == changed.events());
    CHECK(operations(plain, 8) == operations(changed, 8));
  }
}

TEST_CASE("policies that change every 10 ms: nobody is lost, sums hold, all time is accounted for") {
  constexpr const char* kCourse[] = {"yield", "kvmux", "v2,deboost=off", "v3", "fair", "kvmux,affinity=off",
                                     "hier"};
  for (const GuestKind guest : {GuestKind::kLock, GuestKind::kIpi, GuestKind::kMixed, GuestKind::kPingpong}) {
    for (const Shape& shape : {Shape{2, 2, 4}, Shape{2, 3, 4}, Shape{4, 3, 6}}) {
      CAPTURE(static_cast<int>(guest));
      CAPTURE(shape.vms);
      // The constants of the whole run are those of both families.
      Config config = config_of("yield", guest, workload_of(guest), shape);
      const std::vector<int64_t> none(shape.vms, 0);
      Simulator simulator(config);
      const uint32_t vcpus = shape.vms * shape.vcpus;
      uint64_t last = 0;
      for (int i = 1; i <= 100; ++i) {
        simulator.run_until(ms(10 * i));
        simulator.change_policies(of_all(config, kCourse[static_cast<size_t>(i) % std::size(kCourse)]), none);
        simulator.scheduler().check();
        if (i % 20 != 0) continue;
        const uint64_t now = operations(simulator, vcpus);
        CHECK(now > last);  // a lost wake-up would end in a standstill
        last = now;
      }
      for (uint32_t i = 0; i < vcpus; ++i) {
        const VcpuReport report = simulator.report(VcpuId{i});
        CHECK(report.counters.operations > 0);
        CHECK(report.sched.times.running + report.sched.times.waiting + report.sched.times.halted +
                  report.sched.times.stopped ==
              simulator.now());
      }
    }
  }
}

TEST_CASE("a change takes effect: kvmux does more than yield on a ticket lock, and going back costs that") {
  Workload ticket;
  ticket.lock = LockKind::kTicket;
  const Config config = config_of("yield", GuestKind::kLock, ticket, {});
  const std::vector<int64_t> none(config.vms.size(), 0);
  Simulator simulator(config);
  uint64_t of_yield = 0;
  uint64_t of_kvmux = 0;
  for (int i = 0; i < 6; ++i) {
    simulator.change_policies(of_all(config, i % 2 == 0 ? "yield" : "kvmux"), none);
    simulator.run_until(simulator.now() + ms(50));  // to get used to it
    const uint64_t before = operations(simulator, 8);
    simulator.run_until(simulator.now() + ms(300));
    (i % 2 == 0 ? of_yield : of_kvmux) += operations(simulator, 8) - before;
  }
  CHECK(of_kvmux > of_yield * 3 / 2);
}

TEST_CASE("a handicap that comes and goes costs its share while it is there") {
  const Config config = config_of("fair", GuestKind::kCompute, {}, {});
  const std::vector<int64_t> none(config.vms.size(), 0);
  const std::vector<int64_t> half(config.vms.size(), 50);
  Simulator simulator(config);
  uint64_t done[2] = {};
  for (int i = 0; i < 4; ++i) {
    simulator.change_policies(of_all(config, "fair"), i % 2 == 0 ? none : half);
    const uint64_t before = operations(simulator, 8);
    simulator.run_until(simulator.now() + ms(200));
    done[i % 2] += operations(simulator, 8) - before;
  }
  CHECK(static_cast<double>(done[1]) / static_cast<double>(done[0]) == doctest::Approx(0.5).epsilon(0.1));
}
