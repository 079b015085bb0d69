#include "property_driver.h"

#include <doctest/doctest.h>

#include <algorithm>

namespace sched_test {
namespace {

Setup with_vms(const Plan& plan) {
  Setup setup = plan.setup;
  setup.vms.clear();
  for (const VmPlan& vm : plan.vms) setup.vms.push_back(vm.setup);
  return setup;
}

}  // namespace

Driver::Driver(const Plan& plan, uint64_t seed)
    : plan_(plan), rng_(seed), workers_(plan.setup.workers), s_(with_vms(plan), *this) {
  for (const VmPlan& vm : plan.vms) {
    for (const Behaviour behaviour : vm.vcpus) {
      Guest& guest = guests_.emplace_back();
      guest.behaviour = behaviour;
      guest.left = behaviour == Behaviour::kCompute ? kForever : up_to(1ms);
    }
  }
  for (uint32_t w = 0; w < plan.setup.workers; ++w) push(0ns, Kind::kLook, w);
  for (uint32_t v = 0; v < s_.vcpus(); ++v) s_.start(VcpuId{v}, now_);
}

void Driver::push(Nanos at, Kind kind, uint32_t whom, uint64_t version) {
  events_.push({at, order_++, kind, whom, version});
}

// A kick takes up to 2 µs to arrive.
void Driver::kick(WorkerId worker) {
  push(now_ + Nanos{static_cast<int64_t>(rng_.below(2000))}, Kind::kLook, index_of(worker));
}

void Driver::arm_tick(WorkerId worker, Nanos at, Nanos) {
  WorkerState& state = workers_[index_of(worker)];
  state.armed = at;
  ++state.tick_version;
  if (at != kForever) push(std::max(at, now_), Kind::kTick, index_of(worker), state.tick_version);
}

void Driver::run_until(Nanos until) {
  uint64_t at_one_instant = 0;
  while (!events_.empty() && events_.top().at <= until) {
    const Event event = events_.top();
    events_.pop();
    at_one_instant = event.at == now_ ? at_one_instant + 1 : 0;
    must(at_one_instant < 10'000, "time stands still");
    now_ = event.at;
    if (idle_since_ != kForever) longest_idle_ = std::max(longest_idle_, now_ - idle_since_);
    switch (event.kind) {
      case Kind::kLook:
        look(event.whom);
        break;
      case Kind::kTick:
        if (workers_[event.whom].tick_version == event.version) look(event.whom);
        break;
      case Kind::kAction:
        if (workers_[event.whom].run_version == event.version) act(event.whom);
        break;
      case Kind::kTimer:
        post(VcpuId{event.whom});
        break;
    }
    if (!idles_beside_work()) {
      idle_since_ = kForever;
    } else if (idle_since_ == kForever) {
      idle_since_ = now_;
    }
  }
  now_ = until;
}

bool Driver::idles_beside_work() {
  bool idle = false;
  for (const WorkerState& worker : workers_) idle = idle || worker.running == kNoVcpu;
  for (uint32_t w = 0; idle && w < workers_.size(); ++w) {
    if (s_.inspect(WorkerId{w}, [](RunQueue& queue) { return queue.waiting() > 0; })) return true;
  }
  return false;
}

// The worker's loop, from a tick or a kick on.
void Driver::look(uint32_t worker) {
  WorkerState& w = workers_[worker];
  if (w.running == kNoVcpu) return enter(worker);
  take_interrupts(w.running);
  if (!s_.tick(WorkerId{worker}, now_)) {
    leave(worker, Next::kPut);
  } else {
    schedule_action(worker);
  }
}

void Driver::enter(uint32_t worker) {
  WorkerState& w = workers_[worker];
  const WorkerId id{worker};
  s_.inspect(id, [&](RunQueue& queue) {
    nominees_.clear();
    runnable_before_ = queue.runnable();
    if (const auto* eevdf = dynamic_cast<EevdfQueue*>(&queue)) remember_nominees(*eevdf);
  });
  const auto turn = s_.pick(id, now_);
  if (!turn) return;
  w.running = turn->vcpu;
  w.since = now_;
  check_nominees(id, w.running);
  take_interrupts(w.running);
  schedule_action(worker);
}

// The program's next action, or a sleeper's just before the tick.
void Driver::schedule_action(uint32_t worker) {
  WorkerState& w = workers_[worker];
  Guest& g = guest(w.running);
  if (g.left != kForever) g.left -= now_ - w.since;
  w.since = now_;
  ++w.run_version;
  if (g.behaviour == Behaviour::kSleepsAtTick) {
    g.left = w.armed == kForever ? 1ms : std::max(1ns, w.armed - now_ - 1us);
  }
  if (g.left != kForever) push(now_ + std::max(0ns, g.left), Kind::kAction, worker, w.run_version);
}

void Driver::leave(uint32_t worker, Next how) {
  WorkerState& w = workers_[worker];
  const VcpuId vcpu = w.running;
  Guest& g = guest(vcpu);
  if (g.left != kForever) g.left = std::max(0ns, g.left - (now_ - w.since));
  ++w.run_version;
  w.running = kNoVcpu;
  if (how == Next::kPut) {
    s_.put(WorkerId{worker}, now_, rng_.below(2) == 0);
  } else {
    s_.halt(WorkerId{worker}, now_);
    if (g.interrupt) s_.interrupt_posted(vcpu, now_);
  }
  enter(worker);
}

void Driver::act(uint32_t worker) {
  WorkerState& w = workers_[worker];
  Guest& g = guest(w.running);
  w.since = now_;
  g.left = 0ns;
  const Next next = step(worker, g);
  if (next != Next::kGoOn) return leave(worker, next);
  schedule_action(worker);
}

Nanos Driver::service(VmId vm) {
  Nanos sum{};
  for (uint32_t i = 0; i < plan_.vms[index_of(vm)].vcpus.size(); ++i) {
    sum += s_.stats(s_.vcpu_id(vm, i), now_).times.running;
  }
  return sum;
}

}  // namespace sched_test
