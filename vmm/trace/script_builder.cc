#include "vmm/trace/script_builder.h"

#include <algorithm>

namespace vmm {
namespace {

using sched::TraceEvent;
using sched::TraceKind;
using sched::TraceMark;
using Kind = sched::sim::ReplayStep::Kind;

}  // namespace

// Time in the guest goes to what it was spent on; only work is kept.
void VcpuScript::spend_until(int64_t at) {
  if (!in_since_) return;
  int64_t spent = std::max<int64_t>(0, at - *in_since_);
  in_since_ = at;
  in_guest += spent;
  const auto pay = [&spent](int64_t& debt) {
    const int64_t paid = std::min(spent, debt);
    debt -= paid;
    spent -= paid;
  };
  pay(entry_left_);
  if (in_stub_) {
    stub_ += spent;
    return;
  }
  pay(stub_left_);
  if (in_handler_) {
    names_.handler_time += spent;
  } else if (mode_ == Mode::kWorks) {
    work_ += spent;
  } else if (mode_ == Mode::kWaits) {
    waited_ += spent;
  }
}

void VcpuScript::leave(int64_t at) {
  spend_until(at);
  in_since_.reset();
}

void VcpuScript::flush() {
  if (work_ <= 0) return;
  const sched::Nanos time{std::exchange(work_, 0)};
  if (!steps.empty() && steps.back().kind == Kind::kWork) {
    steps.back().time += time;
  } else {
    steps.push_back({.kind = Kind::kWork, .time = time});
  }
}

void VcpuScript::push(Kind kind, uint32_t what) {
  flush();
  steps.push_back({.kind = kind, .what = what});
}

void VcpuScript::take(const TraceEvent& event) {
  switch (event.kind) {
    case TraceKind::kEnter:
      in_since_ = event.at;
      entry_left_ = entry_cost_;
      break;
    case TraceKind::kExit:
      leave(event.at);
      break;
    case TraceKind::kStolen:
      lose(static_cast<int64_t>(event.value));
      break;
    case TraceKind::kIn:
      stay_from_ = steps.size();
      break;
    case TraceKind::kInject:
      in_stub_ = true;
      stub_ = 0;
      break;
    case TraceKind::kEoi:
      in_stub_ = false;
      stub_left_ = std::exchange(stub_, 0);
      break;
    case TraceKind::kIpiSend:
      send(event);
      break;
    case TraceKind::kLost:
      lost_marks += event.value;
      break;
    case TraceKind::kMark:
      ++marks;
      spend_until(event.at);
      mark(static_cast<TraceMark>(event.why), event.value);
      break;
    default:
      break;
  }
}

// The host took so much of this stay, nobody knows where. It takes whole stretches, which make the step that
// they hit longer than all others.
void VcpuScript::lose(int64_t time) {
  const size_t from = std::min(stay_from_, steps.size());
  const auto by_time = [](const Step& a, const Step& b) { return a.time < b.time; };
  while (time > 0) {
    const auto longest = std::max_element(steps.begin() + static_cast<ptrdiff_t>(from), steps.end(), by_time);
    const bool is_step = longest != steps.end() && longest->time.count() > work_;
    const int64_t lost = std::min(time, is_step ? longest->time.count() : work_);
    if (lost <= 0) return;
    if (is_step) {
      longest->time -= sched::Nanos{lost};
    } else {
      work_ -= lost;
    }
    time -= lost;
  }
}

void VcpuScript::mark(TraceMark what, uint64_t value) {
  switch (what) {
    case TraceMark::kWaits:
      return begin_wait();
    case TraceMark::kWaitOver:
      if (mode_ == Mode::kWaits && !steps.empty() && steps.back().kind == Kind::kBusy)
        steps.back().time = sched::Nanos{waited_};
      if (mode_ == Mode::kWaits) mode_ = Mode::kWorks;
      return;
    case TraceMark::kTakesLock:
      return take_lock(names_.locks.of(value));
    case TraceMark::kReleasesLock:
      if (!held_) return;  // taken before the trace begins
      held_.reset();
      held_from_.reset();
      return push(Kind::kRelease, names_.locks.of(value));
    case TraceMark::kOperation:
      ++operations;
      return push(Kind::kOperation);
    case TraceMark::kPuts:
      return push(Kind::kPut, names_.things.of(value));
    case TraceMark::kTakes:
      return take_thing(names_.things.of(value));
    case TraceMark::kSleeps:
      return sleep(names_.things.of(value));
    case TraceMark::kArrives:
      end_wait();
      return push(Kind::kArrive);
    case TraceMark::kAwaitsAcks:
      return push(Kind::kAwaitAcks);
    case TraceMark::kHandlerBegins:
      in_handler_ = true;
      ++names_.handlers;
      return;
    case TraceMark::kHandlerEnds:
      in_handler_ = false;
      return;
    case TraceMark::kCount:
      return;
  }
}

// At a barrier or for acknowledgements it is known what it waits for. Else that shows later, or never.
void VcpuScript::begin_wait() {
  if (mode_ == Mode::kSleeps) return;
  mode_ = Mode::kWaits;
  waited_ = 0;
  explained_ =
      !steps.empty() && (steps.back().kind == Kind::kArrive || steps.back().kind == Kind::kAwaitAcks);
  if (!explained_) push(Kind::kBusy);  // else the few instructions since count after it
}

// The wait before it was for the lock: from its beginning on.
void VcpuScript::take_lock(uint32_t lock) {
  if (mode_ == Mode::kWaits) explained_ = true;
  const bool waited = drop_wait();
  const int64_t since = waited ? std::exchange(work_, 0) : 0;  // a few instructions
  flush();
  held_ = lock;
  held_from_ = steps.size();
  push(Kind::kAcquire, lock);
  work_ = since;
}

// Taken under a lock, it was there before the lock was taken: else the owner would wait while it owns it.
void VcpuScript::take_thing(uint32_t thing) {
  if (mode_ == Mode::kSleeps) {
    mode_ = Mode::kWorks;
    return;
  }
  if (!held_from_) {
    end_wait();
    return push(Kind::kTake, thing);
  }
  flush();
  size_t at = *held_from_;
  if (at > 0 && steps[at - 1].kind == Kind::kBusy) steps.erase(steps.begin() + static_cast<ptrdiff_t>(--at));
  steps.insert(steps.begin() + static_cast<ptrdiff_t>(at), {.kind = Kind::kTake, .what = thing});
  held_from_ = at + 1;
}

void VcpuScript::sleep(uint32_t thing) {
  end_wait();
  mode_ = Mode::kSleeps;
  push(Kind::kSleep, thing);
}

// The last step, if it is a wait: what it was for is known now.
bool VcpuScript::drop_wait() {
  if (steps.empty() || steps.back().kind != Kind::kBusy) return false;
  steps.pop_back();
  return true;
}

void VcpuScript::end_wait() {
  (void)drop_wait();
  if (mode_ == Mode::kWaits) mode_ = Mode::kWorks;
}

// One write to the ICR is an event a receiver.
void VcpuScript::send(const TraceEvent& event) {
  if (event.at == sent_at_ && !steps.empty() && steps.back().kind == Kind::kSend && work_ == 0) {
    if (++fanout_ + 1 == names_.vcpus) {
      steps.resize(steps.size() - (fanout_ - 2));  // all but the first of them
      steps.back().what = sched::sim::kAllOthers;
    } else {
      push(Kind::kSend, event.other - names_.first);
    }
    return;
  }
  sent_at_ = event.at;
  fanout_ = 1;
  push(Kind::kSend, event.other - names_.first);
}

void VcpuScript::begin(int64_t at) {
  spend_until(at);
  std::vector<Step> open;
  const bool at_barrier = mode_ == Mode::kWaits && !steps.empty() && steps.back().kind == Kind::kArrive;
  if (at_barrier || mode_ == Mode::kSleeps || (mode_ == Mode::kWaits && !explained_)) open = {steps.back()};
  steps = std::move(open);
  work_ = waited_ = in_guest = 0;
  operations = marks = lost_marks = 0;
  stay_from_ = 0;
  held_from_.reset();
  if (!held_) return;
  held_from_ = steps.size();
  steps.push_back({.kind = Kind::kAcquire, .what = *held_});
}

void VcpuScript::finish() {
  flush();
  if (mode_ == Mode::kWaits && !explained_) (void)drop_wait();
  if (held_) steps.push_back({.kind = Kind::kRelease, .what = *held_});
}

}  // namespace vmm
