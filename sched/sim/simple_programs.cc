// compute, lock and pingpong.
#include "sched/sim/programs.h"

namespace sched::sim {

ComputeProgram::ComputeProgram(const Workload& workload, uint32_t vcpus, uint64_t seed, Port& port)
    : port_(port), thinker_(workload.think, vcpus, seed), started_(vcpus) {}

Action ComputeProgram::next(uint32_t vcpu, Nanos) {
  if (started_[vcpu]) port_.count_operation(vcpu);
  started_[vcpu] = true;
  return thinker_.think(vcpu);
}

LockProgram::LockProgram(const Workload& workload, uint32_t vcpus, uint64_t seed, Port& port)
    : port_(port),
      pv_(workload.lock == LockKind::kPv),
      lock_count_(std::max(1u, workload.locks)),
      hold_(workload.hold),
      thinker_(workload.think, vcpus, seed),
      locks_(workload.lock, lock_count_, vcpus, hold_, seed, port),
      barrier_(vcpus, port),
      steps_(vcpus, Step::kStart),
      lock_(vcpus, 0),
      asleep_(vcpus) {}

bool LockProgram::poll(uint32_t vcpu, Nanos) {
  return steps_[vcpu] == Step::kThink ? barrier_.over(vcpu) : locks_.poll(vcpu);
}

// I-Spinlock: a lock is not taken that would be held when the turn is over.
bool LockProgram::too_late_to_acquire(uint32_t vcpu, Nanos now) const {
  if (!port_.is_told(vcpu, kTellsTurnEnd)) return false;
  const uint64_t end = GuestPage::load(port_.pages[vcpu].turn_end);
  return end != ~uint64_t{0} && static_cast<int64_t>(end) < (now + hold_).count();
}

Action LockProgram::acquire(uint32_t vcpu) {
  steps_[vcpu] = Step::kHold;
  if (locks_.acquire(lock_[vcpu], vcpu)) return hold(vcpu);
  return pv_ ? Action::spin_once() : Action::spin();
}

Action LockProgram::hold(uint32_t vcpu) {
  if (pv_ && !locks_.is_owner(lock_[vcpu], vcpu)) {
    asleep_[vcpu] = true;
    return Action::halt();
  }
  asleep_[vcpu] = false;
  port_.waits_no_more(vcpu);
  steps_[vcpu] = Step::kRelease;
  return Action::work(hold_);
}

Action LockProgram::next(uint32_t vcpu, Nanos now) {
  switch (steps_[vcpu]) {
    case Step::kStart:
      steps_[vcpu] = Step::kThink;
      if (!barrier_.arrive(vcpu)) return Action::spin();
      [[fallthrough]];
    case Step::kThink:
      steps_[vcpu] = Step::kAcquire;
      return thinker_.think(vcpu);
    case Step::kAcquire:
      if (lock_count_ > 1) lock_[vcpu] = static_cast<uint32_t>(thinker_.rng(vcpu).below(lock_count_));
      steps_[vcpu] = Step::kTimely;
      if (too_late_to_acquire(vcpu, now)) return Action::ring(Wait::kUnknown);
      [[fallthrough]];
    case Step::kTimely:
      return acquire(vcpu);
    case Step::kHold:
      return hold(vcpu);
    case Step::kRelease: {
      locks_.release(lock_[vcpu], vcpu);
      port_.count_operation(vcpu);
      steps_[vcpu] = Step::kReleased;
      const uint32_t next = locks_.owner(lock_[vcpu]);
      if (next != Locks::kNobody && asleep_[next]) return Action::send(next);
      [[fallthrough]];
    }
    case Step::kReleased:
      steps_[vcpu] = Step::kAcquire;
      return thinker_.think(vcpu);
  }
  return Action::halt();
}

PingpongProgram::PingpongProgram(const Workload& workload, uint32_t vcpus, uint64_t seed, Port& port)
    : port_(port),
      vcpus_(vcpus),
      thinker_(workload.think, vcpus, seed),
      barrier_(vcpus, port),
      steps_(vcpus, Step::kStart),
      inbox_(vcpus),
      number_(vcpus, 1),
      sent_(vcpus) {}

// A turn from its start: the even one thinks, the odd one waits.
Action PingpongProgram::begin(uint32_t vcpu) {
  const bool even = vcpu % 2 == 0;
  if (even && vcpu + 1 == vcpus_) return sleep(vcpu);  // nobody to play with
  steps_[vcpu] = even ? Step::kPass : Step::kReceived;
  return even ? thinker_.think(vcpu) : sleep(vcpu);
}

Action PingpongProgram::sleep(uint32_t vcpu) {
  port_.mark(vcpu, TraceMark::kSleeps, inbox_name(vcpu));
  return Action::halt();
}

Action PingpongProgram::pass(uint32_t vcpu) {
  const uint32_t peer = vcpu ^ 1u;
  port_.mark(vcpu, TraceMark::kPuts, inbox_name(peer));
  inbox_[peer] = number_[vcpu];
  return Action::send(peer);
}

Action PingpongProgram::next(uint32_t vcpu, Nanos now) {
  Counters& counters = port_.counters[vcpu];
  switch (steps_[vcpu]) {
    case Step::kStart:
      steps_[vcpu] = Step::kThink;
      if (!barrier_.arrive(vcpu)) return Action::spin();
      [[fallthrough]];
    case Step::kThink:
      return begin(vcpu);
    case Step::kPass:
      sent_[vcpu] = now;
      steps_[vcpu] = Step::kReceive;
      return pass(vcpu);
    case Step::kReceive:
      steps_[vcpu] = Step::kReceived;
      return sleep(vcpu);
    case Step::kReceived:
      break;
  }
  port_.mark(vcpu, TraceMark::kTakes, inbox_name(vcpu));
  if (inbox_[vcpu] != number_[vcpu]) ++counters.errors;
  inbox_[vcpu] = 0;
  if (vcpu % 2 != 0) {
    port_.count_operation(vcpu);
    steps_[vcpu] = Step::kThink;
    const Action answer = pass(vcpu);
    ++number_[vcpu];
    return answer;
  }
  port_.record_ack(vcpu, now - sent_[vcpu]);
  port_.count_operation(vcpu);
  ++number_[vcpu];
  return begin(vcpu);
}

}  // namespace sched::sim
