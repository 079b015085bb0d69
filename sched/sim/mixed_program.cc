#include "sched/sim/mixed_program.h"

namespace sched::sim {

MixedProgram::MixedProgram(const Workload& workload, uint32_t vcpus, uint64_t seed, Port& port)
    : port_(port),
      stages_(std::max(1u, workload.stages)),
      step_size_(std::min(vcpus, stages_)),
      round_(uint64_t{std::max(1u, workload.batch)} * ((vcpus + stages_ - 1) / stages_)),
      hold_(workload.hold),
      thinker_(workload.think, vcpus, seed),
      locks_(workload.lock, stages_, vcpus, workload.hold, seed, port),
      barrier_(vcpus, port),
      watching_(vcpus),
      queues_(stages_),
      vcpus_(vcpus) {
  for (uint32_t i = 0; i < vcpus; ++i) {
    vcpus_[i].first = i % stages_;
    vcpus_[i].puts.reserve(stages_);
  }
}

uint32_t MixedProgram::servable(const VcpuState& vcpu, uint32_t from) const {
  for (uint32_t stage = from;; stage -= step_size_) {
    if (stage < lowest(vcpu)) return kNobody;
    if (has_items(stage)) return stage;
    if (stage == vcpu.first) return kNobody;
  }
}

uint32_t MixedProgram::unfinished(const VcpuState& vcpu) const {
  uint32_t stage = vcpu.first;
  while (stage < stages_ && queues_[stage].taken == round_) stage += step_size_;
  return std::min(stage, stages_);
}

// A queue's count or taken has changed: whoever spins on any queue looks again.
void MixedProgram::changed() {
  watching_.for_each_also_in(port_.spinning, [this](uint32_t vcpu) { port_.look(vcpu); });
}

bool MixedProgram::poll(uint32_t vcpu, Nanos) {
  VcpuState& v = vcpus_[vcpu];
  if (v.waits_for == WaitsFor::kLock) return locks_.poll(vcpu);
  if (v.waits_for == WaitsFor::kBarrier) return barrier_.over(vcpu);
  const bool over =
      servable(v, hindmost(v)) != kNobody ||
      (v.puts.empty() ? unfinished(v) == stages_ : queues_[v.puts.back() + 1].count < kCapacity);
  if (over) watching_.erase(vcpu);
  return over;
}

Action MixedProgram::wait(uint32_t vcpu, bool new_wait) {
  vcpus_[vcpu].waits_for = WaitsFor::kChange;
  port_.waits_for(vcpu, GuestWait::kWork);
  watching_.insert(vcpu);
  return Action::spin(new_wait);
}

// Takes a stage's lock and goes on at `then`. Work of no length means: at once.
Action MixedProgram::lock(uint32_t vcpu, uint32_t stage, Step then) {
  VcpuState& v = vcpus_[vcpu];
  v.stage = stage;
  v.step = then;
  v.waits_for = WaitsFor::kLock;
  return locks_.acquire(stage, vcpu) ? Action::work(Nanos::zero()) : Action::spin();
}

Action MixedProgram::scan(uint32_t vcpu) {
  VcpuState& v = vcpus_[vcpu];
  const uint32_t stage = servable(v, hindmost(v));
  return stage == kNobody ? nothing_found(vcpu) : lock(vcpu, stage, Step::kTake);
}

void MixedProgram::take(uint32_t vcpu) {
  VcpuState& v = vcpus_[vcpu];
  if (!has_items(v.stage)) {  // somebody was faster
    locks_.release(v.stage, vcpu);
    v.step = Step::kScan;
    return;
  }
  if (v.stage != 0) {
    port_.mark(vcpu, TraceMark::kTakes, v.stage);
    --queues_[v.stage].count;
  }
  v.step = Step::kTaken;
}

void MixedProgram::taken(uint32_t vcpu) {
  VcpuState& v = vcpus_[vcpu];
  Queue& queue = queues_[v.stage];
  if (++queue.taken == round_) {
    v.to_wake = queue.sleepers;
    v.wake_limit = kNobody;
    queue.sleepers = kNobody;
  }
  v.idle = false;
  v.step = Step::kThought;
  locks_.release(v.stage, vcpu);
  changed();
}

Action MixedProgram::put(uint32_t vcpu) {
  VcpuState& v = vcpus_[vcpu];
  const uint32_t to = v.puts.back() + 1;
  if (queues_[to].count < kCapacity) return lock(vcpu, to, Step::kInsert);
  return scan(vcpu);
}

void MixedProgram::insert(uint32_t vcpu) {
  VcpuState& v = vcpus_[vcpu];
  Queue& queue = queues_[v.stage];
  if (queue.count == kCapacity) {
    locks_.release(v.stage, vcpu);
    v.step = Step::kPut;
    return;
  }
  port_.mark(vcpu, TraceMark::kPuts, v.stage);
  ++queue.count;
  if (queue.sleepers != kNobody) {
    v.to_wake = queue.sleepers;
    v.wake_limit = 1;
    queue.sleepers = vcpus_[v.to_wake].next_sleeper;
  }
  locks_.release(v.stage, vcpu);
  v.puts.pop_back();
  v.step = Step::kServed;
  changed();
}

void MixedProgram::served(uint32_t vcpu) {
  VcpuState& v = vcpus_[vcpu];
  port_.count_operation(vcpu);
  v.step = v.puts.empty() ? Step::kScan : Step::kPut;
}

// Wait for room, for items, or for the others at the barrier; now and then, asleep.
Action MixedProgram::nothing_found(uint32_t vcpu) {
  VcpuState& v = vcpus_[vcpu];
  const bool first_time = !v.idle;
  v.idle = true;
  if (!v.puts.empty()) {
    v.step = Step::kPut;
    return wait(vcpu, first_time);
  }
  const uint32_t stage = unfinished(v);
  if (stage == stages_) {
    v.step = Step::kMeet;
    return meet(vcpu);
  }
  v.step = Step::kScan;
  const bool has_one_stage = v.first + step_size_ >= stages_;
  if (first_time && has_one_stage && thinker_.rng(vcpu).below(kSleepOneIn) == 0) {
    return lock(vcpu, stage, Step::kSleep);
  }
  return wait(vcpu, first_time);
}

// Going to sleep and waking up both happen under the queue's lock.
Action MixedProgram::sleep(uint32_t vcpu) {
  VcpuState& v = vcpus_[vcpu];
  Queue& queue = queues_[v.stage];
  const bool wanted = queue.taken < round_ && queue.count == 0;
  if (wanted) {
    v.woken = false;
    v.next_sleeper = queue.sleepers;
    queue.sleepers = vcpu;
  }
  locks_.release(v.stage, vcpu);
  v.step = wanted ? Step::kAwake : Step::kScan;
  if (!wanted) return Action::work(Nanos::zero());
  port_.mark(vcpu, TraceMark::kSleeps, inbox_name(vcpu));
  return Action::halt();
}

Action MixedProgram::meet(uint32_t vcpu) {
  VcpuState& v = vcpus_[vcpu];
  v.step = Step::kNewRound;
  v.waits_for = WaitsFor::kBarrier;
  if (!barrier_.arrive(vcpu)) return Action::spin();
  for (Queue& queue : queues_) {
    if (queue.count != 0 || queue.taken != round_) ++port_.counters[vcpu].errors;
    queue.taken = 0;
  }
  return Action::work(Nanos::zero());
}

Action MixedProgram::wake_one(uint32_t vcpu) {
  VcpuState& v = vcpus_[vcpu];
  const uint32_t sleeper = v.to_wake;
  v.to_wake = --v.wake_limit == 0 ? kNobody : vcpus_[sleeper].next_sleeper;
  port_.mark(vcpu, TraceMark::kPuts, inbox_name(sleeper));
  vcpus_[sleeper].woken = true;
  return Action::send(sleeper);
}

Action MixedProgram::next(uint32_t vcpu, Nanos) {
  VcpuState& v = vcpus_[vcpu];
  for (;;) {
    if (v.to_wake != kNobody) return wake_one(vcpu);
    switch (v.step) {
      case Step::kStart:
        v.step = Step::kNewRound;
        if (!barrier_.arrive(vcpu)) return Action::spin();
        break;
      case Step::kNewRound:
        v.idle = false;
        v.step = Step::kScan;
        break;
      case Step::kScan:
        return scan(vcpu);
      case Step::kTake:
        take(vcpu);
        if (v.step == Step::kTaken) return Action::work(hold_);
        break;
      case Step::kTaken:
        taken(vcpu);
        break;
      case Step::kThought:
        v.step = Step::kServed;
        if (v.stage + 1 < stages_) {
          v.puts.push_back(v.stage);
          v.step = Step::kPut;
        }
        return thinker_.think(vcpu);
      case Step::kPut:
        return put(vcpu);
      case Step::kInsert:
        insert(vcpu);
        break;
      case Step::kServed:
        served(vcpu);
        break;
      case Step::kSleep:
        return sleep(vcpu);
      case Step::kAwake:
        port_.mark(vcpu, TraceMark::kTakes, inbox_name(vcpu));
        v.step = Step::kScan;
        break;
      case Step::kMeet:
        return meet(vcpu);
    }
  }
}

}  // namespace sched::sim
