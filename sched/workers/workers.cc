#include "sched/workers/workers.h"

#include <algorithm>

#include "sched/base/check.h"

namespace sched {

Workers::Workers(uint32_t workers, uint32_t vcpus, Host& host)
    : host_(host),
      vcpus_(vcpus),
      status_(new Status[vcpus]),
      progress_(new Progress[vcpus]),
      histories_(new StateHistory[vcpus]),
      workers_(workers),
      idle_(workers) {
  SCHED_CHECK(workers >= 1 && workers < kMaxWorkers);
  for (uint32_t i = 0; i < workers; ++i) workers_[i].id = WorkerId{i};
}

void Workers::account(Vcpu& vcpu, RunState next, Nanos now) {
  const Nanos stretch = now - vcpu.state_since;
  auto& times = vcpu.stats.times;
  switch (vcpu.state) {
    case RunState::kRunning:
      times.running += stretch;
      break;
    case RunState::kQueued:
      times.waiting += stretch;
      vcpu.stats.worst_wait = std::max<Nanos>(vcpu.stats.worst_wait, stretch);
      break;
    case RunState::kHalted:
      times.halted += stretch;
      break;
    case RunState::kNew:
    case RunState::kMoving:
    case RunState::kStopped:
      times.stopped += stretch;
      break;
  }
  vcpu.state = next;
  vcpu.state_since = now;
}

void Workers::change_state(Vcpu& vcpu, RunState next, Nanos now, WorkerId worker) {
  if (vcpu.state != next) account(vcpu, next, now);
  histories_[index_of(vcpu.id)].note(next, now, worker);
}

void Workers::moved(Nanos at, VcpuId vcpu, WorkerId from, WorkerId to, TraceMove why) {
  moves_made_[static_cast<size_t>(why)].fetch_add(1, std::memory_order_relaxed);
  tracer_.moves(at, vcpu, from, to, why);
}

void Workers::publish(Worker& worker, Nanos now) {
  if (tracer_.is_on())
    tracer_.say(TraceKind::kQueue, now, worker.id, kNoVcpu, {.value = worker.queue->runnable()});
  worker.load.store(worker.queue->load().value, std::memory_order_relaxed);
  idle_.set_waiting(worker.id, worker.queue->waiting());
}

void Workers::say_lag(const Worker& worker, const Vcpu& vcpu, Nanos now) const {
  if (!tracer_.is_on() || worker.eevdf == nullptr) return;
  const auto lag = static_cast<uint64_t>(vcpu.timeline->lag(vcpu).ticks);
  tracer_.say(TraceKind::kLag, now, worker.id, vcpu.id, {.value = lag});
}

void Workers::arm(Worker& worker, Nanos now, bool again) {
  const Nanos end = worker.extended_until != Nanos{} ? worker.extended_until
                                                     : std::min(worker.queue->turn_end(), worker.turn_limit);
  if (end == worker.armed && !again) return;
  worker.armed = end;
  host_.arm_tick(worker.id, end, now);
}

void Workers::ipi_sent_to(VcpuId vcpu, Nanos now) {
  const Status::View view = status(vcpu).view();
  if (view.state() == RunState::kQueued)
    at(view.worker()).ipi_waited.store(now.count(), std::memory_order_relaxed);
}

void Workers::see_waiting_ipis(Worker& worker) {
  if (worker.eevdf != nullptr) worker.eevdf->ipi_waited(Nanos{worker.ipi_waited.load(std::memory_order_relaxed)});
}

void Workers::set_idle(Worker& worker, bool idle) {
  worker.idle = idle;
  idle_.set_idle(worker.id, idle);
}

void Workers::detach(Worker& worker, Vcpu& vcpu, Nanos now) {
  worker.queue->dequeue(vcpu, now);
  status(vcpu.id).set_moving();
  publish(worker, now);
}

void Workers::join(Worker& worker, Vcpu& vcpu, Nanos now) {
  change_state(vcpu, RunState::kQueued, now, worker.id);
  worker.queue->enqueue(vcpu, now);
  status(vcpu.id).set_queued(worker.id);
  publish(worker, now);
}

void Workers::offer(WorkerId from) {
  if (!moves_) return;
  if (const auto idle = idle_.take_idle(from)) host_.kick(*idle);
}

void Workers::enqueue(Vcpu& moving, WorkerId to, Nanos now) {
  Worker& worker = at(to);
  bool must_wait = false;
  {
    MutexLock lock(worker.mutex);
    join(worker, moving, now);
    must_wait = worker.queue->runnable() > 1;
    if (worker.idle) {
      set_idle(worker, false);  // it is on its way: what comes next goes to another idle worker
      host_.kick(to);
    } else if (worker.queue->current() == nullptr) {
      // The worker is between two picks.
    } else if (worker.queue->preempts(moving)) {
      if (worker.eevdf != nullptr) worker.eevdf->cancel_protection();
      host_.kick(to);
    } else {
      arm(worker, now);  // it may have run without a tick so far
    }
  }
  if (must_wait) offer(to);
}

}  // namespace sched
