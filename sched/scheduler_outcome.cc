// What becomes of directed yields: the end of a lent turn, and what the yielder learns when it is back.
#include <algorithm>
#include <utility>

#include "sched/scheduler.h"

namespace sched {

// Whoever lent this turn has been on a worker again since: what it waits for now, if it does, is another
// matter.
bool Scheduler::went_on(const Handover& turn) const {
  return pulse_[index_of(turn.lender)].runs.load(std::memory_order_relaxed) != turn.lender_runs;
}

// An acknowledgement by a vCPU that was brought onto its worker for it: if the sender waits for no other, it
// runs next. It has lent its turn and used little of it, so the nomination is honoured more often than not.
void Scheduler::resume_sender(Vcpu& receiver, Nanos now) {
  const Vm& vm = vm_at(receiver.vm);
  const Vcpu& sender = vcpu_at(receiver.turn.lender);
  if (!went_on(receiver.turn) && vm.ipi->next_awaited(sender.index, sender.index, now)) return;
  const Handover turn = std::exchange(receiver.turn, {.back = receiver.turn.back});
  if (went_on(turn)) return;
  const VcpuId id = turn.lender;
  const Status::View status = status_at(id).view();
  if (status.state() != RunState::kQueued || !status.spinning()) return;
  Worker& worker = worker_at(status.worker());
  MutexLock lock(worker.mutex);
  const Status::View now_there = status_at(id).view();
  if (now_there.state() != RunState::kQueued || now_there.worker() != status.worker()) return;
  worker.eevdf->nominate(vcpu_at(id), vm.policy.tuning.nomination_lag);
  worker.eevdf->cancel_protection();
  host_.kick(status.worker());
}

// A lent turn is over: whoever lent it runs next, if it still waits. A lock holder that was taken off needs
// only the rest of its critical section; with a fair lock, one that goes on would queue up again behind those
// who wait, and every handover from then on would take a switch.
bool Scheduler::end_loan(Worker& worker, WorkerId id, Vcpu& borrower, Nanos now) {
  vm_at(borrower.vm).loans.count_exit(now);
  borrower.loan_end = kForever;
  const Handover turn = std::exchange(borrower.turn, {.back = borrower.turn.back});
  if (went_on(turn)) return false;
  Vcpu& lender = vcpu_at(turn.lender);
  const Status::View status = status_at(lender.id).view();
  if (status.state() != RunState::kQueued || status.worker() != id || !status.spinning()) return false;
  worker.eevdf->nominate(lender, vm_at(lender.vm).policy.tuning.nomination_lag);
  worker.eevdf->cancel_protection();
  status_at(borrower.id).set_after_loan();
  return true;
}

// The yielder comes back onto a worker: did the target run meanwhile?
void Scheduler::note_return(Vcpu& vcpu) {
  if (vcpu.yield.stage != YieldOutcome::Stage::kAway) return;
  vcpu.yield.stage = YieldOutcome::Stage::kBack;
}

// It runs no more what it ran: nobody waits for it, it waits for nobody, and its habit counts no longer for
// how patient its VM is.
void Scheduler::forget(Vcpu& vcpu) {
  Vm& vm = vm_at(vcpu.vm);
  if (vm.ipi != nullptr) vm.ipi->forget(vcpu.index);
  if (vcpu.habit.sure()) vm.awaiting.fetch_sub(1, std::memory_order_relaxed);
  vcpu.habit = {};
}

void Scheduler::note_handover(const Vcpu& vcpu, int32_t step) {
  if (!vcpu.yield.to_waiter) return;
  std::atomic<int32_t>& score = vm_at(vcpu.vm).handover;
  const int32_t next = score.load(std::memory_order_relaxed) + step;
  score.store(std::clamp(next, -kHandoverRange, kHandoverRange), std::memory_order_relaxed);
}

// The yielder spins again or leaves the worker: a hit if the target ran and the wait is over; harmful if the
// target ran only to spin itself; else a miss.
void Scheduler::note_outcome(Vcpu& vcpu, bool waits_on) {
  YieldOutcome& yield = vcpu.yield;
  if (yield.stage != YieldOutcome::Stage::kBack) return;
  yield.stage = YieldOutcome::Stage::kNone;
  const Pulse& pulse = pulse_[index_of(yield.target)];
  const bool ran = pulse.runs.load(std::memory_order_relaxed) != yield.target_runs;
  if (ran && !waits_on) {
    ++vcpu.stats.yield_hits;
    note_handover(vcpu, 1);
    return;
  }
  note_handover(vcpu, -1);
  if (ran && pulse.spins.load(std::memory_order_relaxed) != yield.target_spins) {
    ++vcpu.stats.yield_harmful;
  } else {
    ++vcpu.stats.yield_misses;
  }
}

}  // namespace sched
