// From events that no run made to what the guests of a replay do.
#include "vmm/trace/script.h"

#include <doctest/doctest.h>

#include "vmm/trace/recorded_costs.h"

namespace vmm {
namespace {

using sched::Nanos;
using sched::TraceEvent;
using sched::TraceExit;
using sched::TraceKind;
using sched::TraceMark;
using sched::TraceOut;
using sched::sim::ReplayScript;
using sched::sim::ReplayStep;
using Kind = ReplayStep::Kind;

constexpr int64_t kBegin = 1000;

// Events of one VM of two vCPUs on one worker; its script begins at kBegin.
class Events {
 public:
  explicit Events(uint32_t vcpus = 2) : vcpus_(vcpus) {}
  Events& on(uint32_t vcpu) {
    vcpu_ = vcpu;
    return *this;
  }
  Events& add(int64_t at, TraceKind kind, uint8_t why = 0, uint64_t value = 0,
              uint32_t other = sched::kNoOne) {
    trace_.events.push_back(
        {.at = at, .vcpu = vcpu_, .other = other, .value = value, .worker = 0, .kind = kind, .why = why});
    return *this;
  }
  Events& enter(int64_t at) { return add(at, TraceKind::kEnter); }
  Events& exit(int64_t at, TraceExit why = TraceExit::kKick) {
    return add(at, TraceKind::kExit, static_cast<uint8_t>(why));
  }
  Events& mark(int64_t at, TraceMark what, uint64_t value = 0) {
    return add(at, TraceKind::kMark, static_cast<uint8_t>(what), value);
  }

  Trace trace() const {
    Trace trace = trace_;
    trace.vms = {{"lock", "fair", vcpus_}};
    trace.workers = 1;
    trace.window_begin = kBegin;
    trace.window_end = 100'000;
    std::stable_sort(trace.events.begin(), trace.events.end(),
                     [](const auto& a, const auto& b) { return a.at < b.at; });
    return trace;
  }
  ReplayScript script(int64_t entry_cost = 0) const {
    const auto recording = recording_of(trace(), {.entry_cost = entry_cost});
    REQUIRE_MESSAGE(recording, (recording ? "" : recording.error().text()));
    return *recording->vms[0].script;
  }

 private:
  uint32_t vcpus_;
  uint32_t vcpu_ = 0;
  Trace trace_;
};

// vCPU 0 came long before the script begins, so that all of that is known.
Events running() {
  Events events;
  events.add(-20'000, TraceKind::kIn).enter(-20'000).mark(-20'000, TraceMark::kOperation);
  return events;
}

ReplayStep work(int64_t ns) { return {.kind = Kind::kWork, .what = 0, .time = Nanos{ns}}; }
ReplayStep step(Kind kind, uint32_t what = 0) { return {.kind = kind, .what = what, .time = {}}; }
using Steps = std::vector<ReplayStep>;

}  // namespace

TEST_CASE("script: a wait for a lock is no work, and begins where the wait begins") {
  Events events = running();
  events.mark(2000, TraceMark::kOperation)
      .mark(2500, TraceMark::kWaits, 77)
      .exit(3000, TraceExit::kSpin)
      .enter(3100)
      .mark(3300, TraceMark::kWaitOver)
      .mark(3310, TraceMark::kTakesLock, 77)
      .mark(3910, TraceMark::kReleasesLock, 77)
      .mark(3920, TraceMark::kOperation)
      .exit(4000);
  const Steps steps = events.script().vcpus[0].steps;
  REQUIRE(steps.size() >= 7);
  CHECK(steps[1] == step(Kind::kOperation));
  CHECK(steps[2] == work(500));
  CHECK(steps[3] == step(Kind::kAcquire, 0));
  CHECK(steps[4] == work(610));  // the instructions between the wait's end and its mark are the owner's
  CHECK(steps[5] == step(Kind::kRelease, 0));
  CHECK(steps[6] == work(10));
}

TEST_CASE("script: what is taken under a lock was there before the lock was taken") {
  Events events = running();
  events.mark(2000, TraceMark::kOperation)
      .mark(2100, TraceMark::kWaits, 5)
      .mark(2900, TraceMark::kWaitOver)
      .mark(2900, TraceMark::kTakesLock, 9)
      .mark(2900, TraceMark::kTakes, 5)
      .mark(3000, TraceMark::kReleasesLock, 9);
  const ReplayScript script = events.script();
  const Steps& steps = script.vcpus[0].steps;
  REQUIRE(steps.size() == 7);
  CHECK(steps[2] == work(100));
  CHECK(steps[3] == step(Kind::kTake, 0));
  CHECK(steps[4] == step(Kind::kAcquire, 0));
  CHECK(steps[5] == work(100));
  CHECK(steps[6] == step(Kind::kRelease, 0));
  CHECK(script.things == std::vector<uint64_t>{1});  // it came from nowhere: it was there at first
}

TEST_CASE("script: a wait of which nobody knows what ended it stays as long as it was") {
  Events events = running();
  events.mark(2000, TraceMark::kOperation).mark(2100, TraceMark::kWaits).mark(2700, TraceMark::kWaitOver);
  events.mark(2750, TraceMark::kOperation);
  const auto recording = recording_of(events.trace(), {});
  REQUIRE(recording);
  CHECK(recording->vms[0].unexplained == 600);
  const Steps& steps = recording->vms[0].script->vcpus[0].steps;
  REQUIRE(steps.size() == 6);
  CHECK(steps[3] == ReplayStep{.kind = Kind::kBusy, .what = 0, .time = Nanos{600}});
  CHECK(steps[4] == work(50));
}

TEST_CASE("script: to all others is one send, and what is awaited is no time") {
  Events events(3);
  events.add(-20'000, TraceKind::kIn);
  events.on(0).enter(-20'000).mark(2000, TraceMark::kOperation).exit(2100, TraceExit::kIpi);
  events.add(2150, TraceKind::kIpiSend, 0, 0x40, 1)
      .add(2150, TraceKind::kIpiSend, 0, 0x40, 2)
      .enter(2200)
      .mark(2210, TraceMark::kAwaitsAcks);
  events.mark(2211, TraceMark::kWaits).mark(2900, TraceMark::kWaitOver).mark(2950, TraceMark::kOperation);
  const Steps steps = events.script().vcpus[0].steps;
  REQUIRE(steps.size() == 8);
  CHECK(steps[2] == work(100));
  CHECK(steps[3] == step(Kind::kSend, sched::sim::kAllOthers));
  CHECK(steps[4] == work(10));
  CHECK(steps[5] == step(Kind::kAwaitAcks));
  CHECK(steps[6] == work(51));  // before the wait began, and after it
  CHECK(steps[7] == step(Kind::kOperation));
}

TEST_CASE("script: stubs, entries and what the host took are nobody's work") {
  Events events = running();
  events.mark(2000, TraceMark::kOperation).exit(2100);
  events.add(3000, TraceKind::kInject, 0, 0x40).enter(3000).exit(3600, TraceExit::kEoi);
  events.add(3700, TraceKind::kEoi, 0, 0x40).enter(3800).mark(6000, TraceMark::kOperation).exit(6500);
  events.add(6500, TraceKind::kStolen, 0, 900);
  const Steps steps = events.script(100).vcpus[0].steps;
  REQUIRE(steps.size() == 5);
  CHECK(steps[1] == step(Kind::kOperation));
  // 100 before the exit; after the stub's way back (500, as long as there) and two entries (100 each: one is
  // the stub's own) 2200 - 100 - 500, of which the host took 900.
  CHECK(steps[2] == work(100 + 1600 - 900));
  CHECK(steps[3] == step(Kind::kOperation));
}

TEST_CASE("script: rounds begin and end at the barrier, and all have as many") {
  Events events;
  events.on(0).add(-20'000, TraceKind::kIn).enter(-20'000);
  for (const int64_t at : {2000, 3000, 4000})
    events.mark(at, TraceMark::kArrives, 1).mark(at + 10, TraceMark::kOperation);
  events.on(1).add(-20'000, TraceKind::kIn).enter(-20'000);
  for (const int64_t at : {2100, 3100})
    events.mark(at, TraceMark::kArrives, 1).mark(at + 10, TraceMark::kOperation);
  const ReplayScript script = events.script();
  for (const ReplayScript::Vcpu& vcpu : script.vcpus) {
    REQUIRE(vcpu.loop > 0);
    CHECK(vcpu.steps[vcpu.loop - 1].kind == Kind::kArrive);
    CHECK(vcpu.steps.back().kind == Kind::kArrive);
    CHECK(std::count(vcpu.steps.begin(), vcpu.steps.end(), step(Kind::kArrive)) == 2);
  }
}

TEST_CASE("script: what a trace lacks is said") {
  const auto refusal = [](const Trace& trace) {
    const auto recording = recording_of(trace, {});
    REQUIRE_FALSE(recording);
    return recording.error().text();
  };
  Events silent;
  silent.add(-20'000, TraceKind::kIn).enter(-20'000).exit(2000);
  CHECK(refusal(silent.trace()).find("marked nothing") != std::string::npos);
  Events of_host;
  of_host.enter(0).mark(2000, TraceMark::kOperation);
  CHECK(refusal(of_host.trace()).find("the host scheduled") != std::string::npos);
  Events lossy = running();
  lossy.mark(2000, TraceMark::kOperation).add(2100, TraceKind::kLost, 0, 17);
  CHECK(refusal(lossy.trace()).find("17 marks of VM 0 were lost") != std::string::npos);
  Events changed = running();
  changed.mark(2000, TraceMark::kOperation).add(2100, TraceKind::kPolicy, 0, 1);
  CHECK(refusal(changed.trace()).find("policy changed") != std::string::npos);
}

TEST_CASE("recorded costs: as the trace shows them, the rest in proportion") {
  Trace trace;
  trace.vms = {{"ipi", "fair", 2}};
  trace.workers = 1;
  trace.exit_cost = 9000;
  trace.window_end = 10'000'000;
  const auto add = [&](int64_t at, TraceKind kind, int why = 0) {
    trace.events.push_back(
        {.at = at, .vcpu = 0, .worker = 0, .kind = kind, .why = static_cast<uint8_t>(why)});
  };
  add(0, TraceKind::kIn);
  for (int64_t i = 0; i < 100; ++i) {
    const int64_t at = 1000 + i * 50'000;
    add(at, TraceKind::kEnter);
    add(at + 20'000, TraceKind::kMark, static_cast<int>(TraceMark::kPuts));
    add(at + 24'000, TraceKind::kExit, static_cast<int>(TraceExit::kIpi));
    add(at + 24'500, TraceKind::kEnter);
    add(at + 30'500, TraceKind::kMark, static_cast<int>(TraceMark::kSleeps));
    add(at + 40'000, TraceKind::kExit, static_cast<int>(TraceExit::kHalt));
  }
  const sched::sim::CostProfile base;  // exits of 2 µs
  const RecordedCosts costs = recorded_costs(trace, base);
  CHECK(costs.entry_cost == 10'000);  // 6 µs there, 4 µs back
  CHECK(costs.profile.exit_user == Nanos{10'000});
  CHECK(costs.profile.handle == Nanos{500});
  CHECK(costs.profile.stub == base.stub * 5);
  CHECK(costs.profile.host_tick == base.host_tick);
  CHECK(costs.profile.noise_interval == Nanos{0});
  trace.exit_cost = 0;  // simulated: its costs are known
  CHECK(recorded_costs(trace, base).profile.exit_user == base.exit_user);
}

}  // namespace vmm
