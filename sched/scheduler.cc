#include "sched/scheduler.h"

#include <utility>

#include "sched/base/check.h"

namespace sched {

std::optional<Turn> Scheduler::run_next(Worker& worker, Nanos now) {
  Workers::see_waiting_ipis(worker);
  Vcpu* vcpu = worker.queue->pick(now);
  if (vcpu == nullptr) return std::nullopt;
  workers_.change_state(*vcpu, RunState::kRunning, now, worker.id);
  worker.running = vcpu;
  ++vcpu->stats.switches_in;
  if (vcpu->last_worker != worker.id) ++vcpu->stats.migrations;
  vcpu->last_worker = worker.id;
  workers_.status(vcpu->id).set_running(worker.id);
  Progress& progress = workers_.progress(vcpu->id);
  progress.runs.store(progress.runs.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  yields_->begin_turn(worker, *vcpu, now);
  workers_.say_lag(worker, *vcpu, now);
  workers_.publish(worker, now);
  workers_.arm(worker, now);
  return Turn{vcpu->id, worker.armed};
}

std::optional<Turn> Scheduler::pick(WorkerId id, Nanos now) {
  Worker& worker = workers_.at(id);
  const InRole by_itself(worker.self);
  bool balance_now = false;
  {
    MutexLock lock(worker.mutex);
    if (worker.idle) workers_.set_idle(worker, false);
    balance_now = placement_->is_due(worker, now);
    if (!balance_now) {
      if (auto turn = run_next(worker, now)) return turn;
    }
  }
  if (balance_now) placement_->balance(worker, now);
  for (;;) {
    {
      MutexLock lock(worker.mutex);
      if (auto turn = run_next(worker, now)) return turn;
    }
    if (placement_->steal(worker, now)) continue;
    {
      MutexLock lock(worker.mutex);
      if (worker.queue->runnable() > 0) continue;  // came in meanwhile
      workers_.set_idle(worker, true);
      workers_.arm(worker, now);
    }
    // Once more: whoever made a vCPU wait before this did not see an idle worker (idle_workers.h).
    if (!workers_.moves() || !workers_.idle().is_waited_for(id) || !placement_->steal(worker, now)) {
      return std::nullopt;
    }
  }
}

std::optional<Turn> Scheduler::tick(WorkerId id, Nanos now) {
  Worker& worker = workers_.at(id);
  MutexLock lock(worker.mutex);
  Vcpu* vcpu = worker.queue->current();
  SCHED_CHECK(vcpu != nullptr);
  Workers::see_waiting_ipis(worker);
  if (worker.queue->tick(now) && !yields_->extends(worker, *vcpu, now)) return std::nullopt;
  if (now >= worker.turn_limit && yields_->end_donation(worker, *vcpu, now)) return std::nullopt;
  workers_.arm(worker, now, true);
  return Turn{vcpu->id, worker.armed};
}

void Scheduler::discount_stolen(WorkerId id, Nanos lost) {
  Worker& worker = workers_.at(id);
  MutexLock lock(worker.mutex);
  SCHED_CHECK(worker.queue->current() != nullptr);
  worker.queue->discount_stolen(lost);
}

std::optional<WorkerId> Scheduler::leave_current(Worker& worker, RunState next, Nanos now) {
  Vcpu* vcpu = worker.queue->current();
  SCHED_CHECK(vcpu != nullptr && vcpu == worker.running);
  vcpu->last_ran = now;
  workers_.progress(vcpu->id).off_since.store(now.count(), std::memory_order_relaxed);
  workers_.change_state(*vcpu, next, now, worker.id);
  worker.running = nullptr;
  yields_->tell_preempted(*vcpu, next == RunState::kQueued);
  return yields_->end_turn(worker, *vcpu, now);
}

void Scheduler::put(WorkerId id, Nanos now, bool in_kernel) {
  Worker& worker = workers_.at(id);
  const InRole by_itself(worker.self);
  bool others_wait = false;
  Vcpu* moving = nullptr;
  std::optional<WorkerId> to;
  {
    MutexLock lock(worker.mutex);
    SCHED_CHECK(worker.running != nullptr);
    Vcpu& vcpu = *worker.running;
    to = placement_->after_turn(worker, vcpu, leave_current(worker, RunState::kQueued, now));
    ++vcpu.stats.preemptions;
    if (!to) {
      worker.queue->put(now);
      workers_.status(vcpu.id).set_preempted(in_kernel);
    } else {
      worker.queue->dequeue(vcpu, now);
      workers_.status(vcpu.id).set_preempted_moving(in_kernel);
      moving = &vcpu;
    }
    workers_.publish(worker, now);
    others_wait = worker.queue->runnable() > 1;
  }
  if (moving != nullptr) {
    workers_.moved(now, moving->id, id, *to, TraceMove::kHome);
    workers_.enqueue(*moving, *to, now);
  }
  if (others_wait) workers_.offer(id);
}

void Scheduler::halt(WorkerId id, Nanos now) {
  Worker& worker = workers_.at(id);
  const InRole by_itself(worker.self);
  MutexLock lock(worker.mutex);
  SCHED_CHECK(worker.running != nullptr);
  Vcpu& vcpu = *worker.running;
  leave_current(worker, RunState::kHalted, now);
  worker.queue->dequeue(vcpu, now);
  workers_.publish(worker, now);
  workers_.status(vcpu.id).set_halted();  // from here on a waker may own it
}

void Scheduler::stop(WorkerId id, Nanos now) {
  Worker& worker = workers_.at(id);
  const InRole by_itself(worker.self);
  MutexLock lock(worker.mutex);
  SCHED_CHECK(worker.running != nullptr);
  Vcpu& vcpu = *worker.running;
  leave_current(worker, RunState::kStopped, now);
  worker.queue->dequeue(vcpu, now);
  workers_.publish(worker, now);
  workers_.status(vcpu.id).set_stopped();
  yields_->forget(vcpu);
}

bool Scheduler::yield(WorkerId id, Nanos now, const YieldCause& cause) {
  Worker& worker = workers_.at(id);
  const InRole by_itself(worker.self);
  return yields_->yield(worker, cause, now);
}

void Scheduler::wake(Vcpu& vcpu, Nanos now) {
  const WorkerId to = placement_->for_waking(vcpu);
  yields_->tell_preempted(vcpu, true);
  workers_.tracer().say(TraceKind::kWake, now, to, vcpu.id);
  workers_.enqueue(vcpu, to, now);
}

void Scheduler::start(VcpuId id, Nanos now) {
  Vcpu& vcpu = workers_.vcpu(id);
  SCHED_CHECK(workers_.status(id).claim(RunState::kNew));
  vcpu.state_since = now;
  wake(vcpu, now);
}

Scheduler::Posted Scheduler::interrupt_posted(VcpuId target, Nanos now) {
  Status& status = workers_.status(target);
  status.set_irq_pending();
  if (setup_.loses_wakeups != 0 && status.view().state() == RunState::kHalted && loses_wakeup()) [[unlikely]]
    return Posted::kNothing;
  if (status.claim(RunState::kHalted)) {
    Vcpu& vcpu = workers_.vcpu(target);
    ++vcpu.stats.wakeups;
    wake(vcpu, now);
    return Posted::kWoken;
  }
  return status.view().state() == RunState::kRunning ? Posted::kRunning : Posted::kNothing;
}

void Scheduler::reset(VcpuId vcpu) { yields_->forget(workers_.vcpu(vcpu)); }

void Scheduler::ipi_sending(VmId vm, const IpiSend& send, Nanos now) {
  yields_->ipi_sending(vm_at(vm), send, now);
}

void Scheduler::ipi_sent(VmId vm, const IpiSend& send, const VcpuSet& accepted, Nanos now) {
  workers_.vcpu(vcpu_id(vm, send.sender)).stats.ipis_sent += accepted.size();
  yields_->ipi_accepted(vm_at(vm), send, accepted, now);
  if (policy(vm).tuning.ipi_latency == Nanos{}) return;
  accepted.for_each([&](uint32_t receiver) { workers_.ipi_sent_to(vcpu_id(vm, receiver), now); });
}

void Scheduler::eoi(VcpuId receiver, IrqVector vector, Nanos now) {
  Vcpu& vcpu = workers_.vcpu(receiver);
  ++vcpu.stats.eois;
  yields_->acknowledged(vcpu, vector, now);
}

VcpuStats Scheduler::stats(VcpuId id, Nanos now) const {
  Vcpu copy = workers_.vcpu(id);
  Workers::account(copy, copy.state, now);
  return copy_of(copy.stats);
}

uint64_t Scheduler::steps() {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < workers(); ++i) {
    sum += inspect(WorkerId{i}, [](RunQueue& queue) { return queue.steps(); });
  }
  return sum;
}

void Scheduler::check() {
  for (uint32_t i = 0; i < workers(); ++i) {
    Worker& worker = workers_.at(WorkerId{i});
    MutexLock lock(worker.mutex);
    if (worker.eevdf != nullptr) worker.eevdf->check();
  }
}

}  // namespace sched
