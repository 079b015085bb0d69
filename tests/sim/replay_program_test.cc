// Scripts written by hand, on a host where nothing costs anything.
#include "tests/sim/sim_support.h"

namespace sched::sim {
namespace {

using Kind = ReplayStep::Kind;

ReplayStep work(int64_t us) { return {.kind = Kind::kWork, .what = 0, .time = Nanos{us * 1000}}; }
ReplayStep step(Kind kind, uint32_t what = 0) { return {.kind = kind, .what = what, .time = {}}; }

struct Result {
  std::vector<uint64_t> operations;  // by vCPU
  std::vector<VcpuReport> reports;
};

// A VM of as many vCPUs as the script has, a worker for each, for 100 ms.
Result run(const ReplayScript& script, uint32_t workers) {
  Config config =
      config_of("fair", GuestKind::kLock, {},
                {.workers = workers, .vms = 1, .vcpus = static_cast<uint32_t>(script.vcpus.size())});
  config.costs = free_host();
  config.vms[0].script = std::make_shared<const ReplayScript>(script);
  Simulator simulator(config);
  simulator.run_until(Nanos{100'000'000});
  Result result;
  for (uint32_t i = 0; i < script.vcpus.size(); ++i) {
    result.reports.push_back(simulator.report(VcpuId{i}));
    result.operations.push_back(result.reports.back().counters.operations);
  }
  return result;
}

}  // namespace

TEST_CASE("replay: work takes its time, again and again") {
  const ReplayScript script{.vcpus = {{.steps = {work(1000), step(Kind::kOperation)}, .loop = 0}}};
  const Result result = run(script, 1);
  CHECK(result.operations[0] >= 98);  // each round takes a microsecond more
  CHECK(result.operations[0] <= 100);
}

TEST_CASE("replay: a lock keeps its owner alone, and who waits busy-waits") {
  const std::vector<ReplayStep> steps{step(Kind::kAcquire), work(1000), step(Kind::kRelease),
                                      step(Kind::kOperation)};
  for (const LockKind lock : {LockKind::kTtas, LockKind::kTicket}) {
    const ReplayScript script{.vcpus = {{steps, 0}, {steps, 0}}, .lock = lock, .locks = 1};
    const Result result = run(script, 2);
    const uint64_t sum = result.operations[0] + result.operations[1];
    CHECK(sum >= 97);  // as one by itself
    CHECK(sum <= 100);
    const auto spun = static_cast<size_t>(Place::kSpinning);
    CHECK(result.reports[0].places[spun] + result.reports[1].places[spun] > Nanos{90'000'000});
  }
}

TEST_CASE("replay: who sleeps is woken by what another leaves and its IPI, and not before") {
  const std::vector<ReplayStep> waker{work(1000), step(Kind::kPut, 0), step(Kind::kSend, 1),
                                      step(Kind::kOperation)};
  const std::vector<ReplayStep> sleeper{step(Kind::kSleep, 0), step(Kind::kOperation)};
  const Result result = run({.vcpus = {{waker, 0}, {sleeper, 0}}, .things = {0}}, 2);
  CHECK(result.operations[0] >= 98);
  CHECK(result.operations[1] + 1 >= result.operations[0]);
  CHECK(result.operations[1] <= result.operations[0]);
  CHECK(result.reports[1].counters.wakeups >= 97);
}

TEST_CASE("replay: at a barrier the slowest sets the pace, after a part that is done once") {
  const std::vector<ReplayStep> slow{work(10'000), step(Kind::kArrive), work(1000), step(Kind::kOperation),
                                     step(Kind::kArrive)};
  const std::vector<ReplayStep> fast{step(Kind::kArrive), work(10), step(Kind::kOperation),
                                     step(Kind::kArrive)};
  const Result result = run({.vcpus = {{slow, 2}, {fast, 1}}}, 2);
  CHECK(result.operations[0] >= 88);
  CHECK(result.operations[0] <= 90);
  CHECK(result.operations[1] >= result.operations[0]);
  CHECK(result.operations[1] <= result.operations[0] + 1);
}

TEST_CASE("replay: acknowledgements come from the receiver's stub, or from its handler's work") {
  const std::vector<ReplayStep> sender{step(Kind::kSend, kAllOthers), step(Kind::kAwaitAcks),
                                       step(Kind::kOperation)};
  const std::vector<ReplayStep> receiver{work(1000)};
  const Result quick = run({.vcpus = {{sender, 0}, {receiver, 0}}}, 2);
  CHECK(quick.operations[0] > 1000);
  const Result slow = run(
      {.vcpus = {{sender, 0}, {receiver, 0}}, .vector = IrqVector{0x50}, .handler_work = Nanos{1'000'000}},
      2);
  CHECK(slow.operations[0] >= 97);
  CHECK(slow.operations[0] <= 100);
}

TEST_CASE("replay: steps without any length do not stop the clock, and none at all means asleep") {
  const Result result = run({.vcpus = {{{step(Kind::kOperation)}, 0}, {{}, 0}}}, 2);
  CHECK(result.operations[0] >= 90'000);
  CHECK(result.operations[0] <= 100'001);
  CHECK(result.operations[1] == 0);
}

}  // namespace sched::sim
