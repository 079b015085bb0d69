// Looking on without a lock (sched/base/history.h, vmm/run/pulse.h): one thread changes, another reads. What is
// read is of one moment: the times that it names add up to that moment. Writers take a microsecond between two
// changes: a reader that each time finds another one gives up after some milliseconds.
#include "race_support.h"
#include "sched/base/history.h"
#include "vmm/run/pulse.h"

using namespace race;
using sched::Nanos;
using sched::RunState;
using sched::StateHistory;

namespace {

constexpr uint64_t kBetween = 1'000;
constexpr std::array kStates{RunState::kQueued, RunState::kRunning, RunState::kHalted};

bool is_whole(const StateHistory::Moment& moment) {
  const auto& times = moment.times;
  if (moment.state == RunState::kNew) return true;
  return times.running + times.waiting + times.halted + times.stopped + Nanos{1} == moment.since;
}

bool is_whole(const std::vector<StateHistory::Entry>& entries) {
  for (size_t i = 1; i < entries.size(); ++i) {
    const bool follows = entries[i].at > entries[i - 1].at && entries[i].state != entries[i - 1].state;
    if (!follows) return false;
  }
  return true;
}

// The n-th stay, of one nanosecond, begins at 2n + 1 and ends at 2n + 2.
bool is_whole(const vmm::Pulse::Moment& moment) {
  using Place = vmm::Pulse::Place;
  if (moment.place == Place::kParked) return true;
  const bool on = moment.place == Place::kOn;
  if (on != (moment.vcpu != sched::kNoVcpu)) return false;
  return moment.since.count() == 2 * moment.busy.count() + (on ? 1 : 0);
}

// Torn, and not because the reader gave up on a writer that the host had taken off its CPU amid a change.
template <class Read>
bool is_torn(Read read) {
  constexpr auto kGivesUp = std::chrono::microseconds(500);
  const auto began = std::chrono::steady_clock::now();
  return !is_whole(read()) && std::chrono::steady_clock::now() - began < kGivesUp;
}

}  // namespace

TEST_CASE("a history that changes is read whole") {
  StateHistory history;
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    Rng rng(batch_seed(0));
    int64_t now = 1;
    for (size_t i = 0; !stop.load(std::memory_order_relaxed); ++i) {
      history.note(kStates[i % kStates.size()], Nanos(now), sched::WorkerId{static_cast<uint32_t>(i % 7)});
      now += 1 + static_cast<int64_t>(rng.below(100));
      pause(kBetween);
    }
  });
  uint64_t torn = 0;
  for (uint64_t i = 0; i < races() / 20; ++i) {
    if (is_torn([&] { return history.now(); })) ++torn;
    if (i % 8 == 0 && is_torn([&] { return history.entries(); })) ++torn;
  }
  stop = true;
  writer.join();
  CHECK(torn == 0);
}

TEST_CASE("a pulse that changes is read whole") {
  vmm::Pulse pulse;
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    pulse.leaves(Nanos{0});
    for (int64_t n = 0; !stop.load(std::memory_order_relaxed); ++n) {
      pulse.hosts(sched::VcpuId{1}, Nanos(2 * n + 1));
      pulse.beat();
      pause(kBetween);
      pulse.leaves(Nanos(2 * n + 2));
      pause(kBetween);
    }
  });
  uint64_t torn = 0;
  uint64_t last = 0;
  for (uint64_t i = 0; i < races() / 10; ++i) {
    vmm::Pulse::Moment moment;
    if (is_torn([&] { return moment = pulse.moment(); }) && moment.since > Nanos{0}) ++torn;
    if (moment.beats < last) ++torn;
    last = moment.beats;
  }
  stop = true;
  writer.join();
  CHECK(torn == 0);
}
