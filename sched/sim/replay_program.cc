#include "sched/sim/replay_program.h"

#include <algorithm>

#include "sched/base/check.h"

namespace sched::sim {

ReplayProgram::ReplayProgram(std::shared_ptr<const ReplayScript> script, uint64_t seed, Port& port)
    : port_(port),
      script_(std::move(script)),
      locks_(script_->lock, script_->locks, static_cast<uint32_t>(script_->vcpus.size()), Nanos{}, seed, port),
      barrier_(static_cast<uint32_t>(script_->vcpus.size()), port),
      acks_(static_cast<uint32_t>(script_->vcpus.size()), port),
      things_(script_->things),
      places_(script_->vcpus.size()),
      watching_(static_cast<uint32_t>(script_->vcpus.size())) {
  vector = script_->vector;
  handler_work = script_->handler_work;
}

// Steps that take no time follow each other at once.
Action ReplayProgram::next(uint32_t vcpu, Nanos now) {
  constexpr Nanos kLeastRound{1'000};  // steps without any length must not stop the clock
  Place& place = places_[vcpu];
  if (place.on != nullptr && place.on->kind == Kind::kSleep) SCHED_CHECK(take(place.on->what));
  place.on = nullptr;
  const std::vector<ReplayStep>& steps = script_->vcpus[vcpu].steps;
  if (steps.empty()) return Action::halt();  // for good
  while (place.next < steps.size()) {
    if (const auto action = begin(vcpu, steps[place.next++], now)) return *action;
  }
  place.next = script_->vcpus[vcpu].loop;
  return Action::work(kLeastRound);
}

std::optional<Action> ReplayProgram::begin(uint32_t vcpu, const ReplayStep& step, Nanos now) {
  switch (step.kind) {
    case Kind::kWork:
    case Kind::kBusy:
      return Action::work(step.time);
    case Kind::kAcquire:
      if (locks_.is_owner(step.what, vcpu) || locks_.acquire(step.what, vcpu)) return std::nullopt;
      return wait(vcpu, step);
    case Kind::kRelease:
      if (locks_.is_owner(step.what, vcpu)) locks_.release(step.what, vcpu);
      return std::nullopt;
    case Kind::kPut:
      put(step.what);
      return std::nullopt;
    case Kind::kTake:
      if (take(step.what)) return std::nullopt;
      watching_.insert(vcpu);
      port_.waits_for(vcpu, GuestWait::kWork);
      return wait(vcpu, step);
    case Kind::kSleep:
      if (take(step.what)) return std::nullopt;
      places_[vcpu].on = &step;
      return Action::halt();
    case Kind::kArrive:
      return barrier_.arrive(vcpu) ? std::nullopt : wait(vcpu, step);
    case Kind::kSend:
      return send(vcpu, step.what, now);
    case Kind::kAwaitAcks:
      if (acks_.all_seen(vcpu, now)) return std::nullopt;
      port_.waits_for(vcpu, GuestWait::kAcks);
      return wait(vcpu, step);
    case Kind::kOperation:
      port_.count_operation(vcpu);
      return std::nullopt;
  }
  return std::nullopt;
}

std::optional<Action> ReplayProgram::wait(uint32_t vcpu, const ReplayStep& step) {
  places_[vcpu].on = &step;
  return Action::spin();
}

bool ReplayProgram::poll(uint32_t vcpu, Nanos now) {
  const ReplayStep& step = *places_[vcpu].on;
  switch (step.kind) {
    case Kind::kAcquire:
      return locks_.poll(vcpu);
    case Kind::kArrive:
      return barrier_.over(vcpu);
    case Kind::kAwaitAcks:
      return acks_.all_seen(vcpu, now);
    case Kind::kTake:
      if (!take(step.what)) return false;
      watching_.erase(vcpu);
      return true;
    default:
      return true;
  }
}

bool ReplayProgram::sleeps(uint32_t vcpu) {
  const ReplayStep* step = places_[vcpu].on;
  return step == nullptr || things_[step->what] == 0;
}

bool ReplayProgram::take(uint32_t thing) {
  if (things_[thing] == 0) return false;
  --things_[thing];
  return true;
}

void ReplayProgram::put(uint32_t thing) {
  ++things_[thing];
  watching_.for_each_also_in(port_.spinning, [this](uint32_t vcpu) { port_.look(vcpu); });
}

Action ReplayProgram::send(uint32_t vcpu, uint32_t receiver, Nanos now) {
  const bool to_all = receiver == kAllOthers;
  const uint32_t end = to_all ? static_cast<uint32_t>(places_.size()) : receiver + 1;
  for (uint32_t i = to_all ? 0 : receiver; i < end; ++i) {
    if (i != vcpu) acks_.sent(vcpu, i, now);
  }
  return Action::send(receiver);
}

std::unique_ptr<Program> make_replay(std::shared_ptr<const ReplayScript> script, uint64_t seed, Port& port) {
  return std::make_unique<ReplayProgram>(std::move(script), seed, port);
}

}  // namespace sched::sim
