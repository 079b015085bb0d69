#include "sched/base/history.h"

#include <algorithm>

namespace sched {
namespace {

constexpr size_t kRunningTime = 0, kWaitingTime = 1, kHaltedTime = 2, kStoppedTime = 3;

size_t time_of(RunState state) {
  switch (state) {
    case RunState::kRunning:
      return kRunningTime;
    case RunState::kQueued:
      return kWaitingTime;
    case RunState::kHalted:
      return kHaltedTime;
    case RunState::kNew:
    case RunState::kMoving:
    case RunState::kStopped:
      break;
  }
  return kStoppedTime;
}

}  // namespace

void StateHistory::note(RunState state, Nanos now, WorkerId worker) {
  const uint64_t number = number_.load(std::memory_order_relaxed);
  const uint64_t change = number / 2;
  number_.store(number + 1, std::memory_order_relaxed);
  if (change == 0) {
    since_.store(now.count(), std::memory_order_release);
  } else {
    const Slot& last = slots_[(change - 1) % kSlots];
    const RunState ends = unpack(last.what.load(std::memory_order_relaxed), 0).state;
    if (ends != state) {
      const int64_t stretch = now.count() - since_.load(std::memory_order_relaxed);
      std::atomic<int64_t>& sum = times_[time_of(ends)];
      sum.store(sum.load(std::memory_order_relaxed) + stretch, std::memory_order_release);
      since_.store(now.count(), std::memory_order_release);
    }
  }
  Slot& slot = slots_[change % kSlots];
  slot.at.store(now.count(), std::memory_order_release);
  slot.what.store(pack(state, worker), std::memory_order_release);
  number_.store(number + 2, std::memory_order_release);
}

// Until nothing has changed meanwhile. The bound, some milliseconds, is for a writer that is stopped amid a change (by
// a debugger, or by a host that gives its CPU to others): what is read then is half of one change and half of the
// other.
template <class Copy>
void StateHistory::read(Copy copy) const {
  constexpr int kTries = 200'000;
  for (int i = 0; i < kTries; ++i) {
    const uint64_t before = number_.load(std::memory_order_acquire);
    if ((before & 1) != 0 && i + 1 < kTries) {
      __builtin_ia32_pause();
      continue;
    }
    copy(before / 2);
    if (number_.load(std::memory_order_relaxed) == before) return;
  }
}

StateHistory::Moment StateHistory::now() const {
  Moment moment;
  read([&](uint64_t changes) {
    moment = {};
    if (changes == 0) return;
    const Slot& last = slots_[(changes - 1) % kSlots];
    const Entry entry =
        unpack(last.what.load(std::memory_order_acquire), last.at.load(std::memory_order_acquire));
    const auto time = [&](size_t which) { return Nanos(times_[which].load(std::memory_order_acquire)); };
    moment = {.state = entry.state,
              .worker = entry.worker,
              .since = Nanos(since_.load(std::memory_order_acquire)),
              .times = {.running = time(kRunningTime),
                        .waiting = time(kWaitingTime),
                        .halted = time(kHaltedTime),
                        .stopped = time(kStoppedTime)}};
  });
  return moment;
}

std::vector<StateHistory::Entry> StateHistory::entries() const {
  std::vector<Entry> all;
  read([&](uint64_t changes) {
    all.clear();
    for (uint64_t i = changes - std::min<uint64_t>(changes, kKept); i < changes; ++i) {
      const Slot& slot = slots_[i % kSlots];
      all.push_back(
          unpack(slot.what.load(std::memory_order_acquire), slot.at.load(std::memory_order_acquire)));
    }
  });
  return all;
}

}  // namespace sched
