// A handed-over turn from its begin to its end, and what the yielder learns when it is back.
#include <utility>

#include "sched/yield/directed_yields.h"

namespace sched {

// The turns of a VM of which no vCPU is known to wait for acknowledgements are longer.
void DirectedYields::begin_turn(Worker& worker, Vcpu& vcpu, Nanos now) {
  const VmInfo& vm = vm_of(vcpu);
  VcpuYields& mine = memory_.of(worker, vcpu);
  mine.came_on = now;
  vcpu.slices_per_request =
      memory_.of(vm).awaiting.load(std::memory_order_relaxed) == 0 ? vm.policy.tuning.quantum_multiplier : 1;
  mine.turn = std::exchange(mine.next_turn, {});
  if (mine.turn.length > Nanos{}) worker.turn_limit = now + mine.turn.length;
  worker.extended_until = {};
  tell_preempted(vcpu, false);
  memory_.after_donation(vcpu.id).store(false, std::memory_order_relaxed);
  // Did the target of its last yield run meanwhile? From now on that can be told.
  if (mine.outcome.stage == YieldOutcome::Stage::kAway) mine.outcome.stage = YieldOutcome::Stage::kBack;
}

std::optional<WorkerId> DirectedYields::end_turn(Worker& worker, Vcpu& vcpu, Nanos now) {
  VcpuYields& mine = memory_.of(worker, vcpu);
  note_outcome(worker, vcpu, mine, false, now);
  worker.turn_limit = kForever;
  worker.extended_until = {};
  const Handover turn = std::exchange(mine.turn, {});
  const std::optional<WorkerId> asked = std::exchange(mine.move_to, std::nullopt);
  return asked ? asked : turn.back;
}

// Whoever gave this turn has been on a worker again since: what it waits for now, if it does, is another
// matter.
bool DirectedYields::went_on(const Handover& turn) const {
  return workers_.progress(turn.donor).runs.load(std::memory_order_relaxed) != turn.donor_runs;
}

void DirectedYields::acknowledged(Vcpu& receiver, IrqVector vector, Nanos now) {
  VmYields& vm = memory_.of(vm_of(receiver));
  if (vm.ipi == nullptr) return;
  vm.ipi->eoi(receiver.index, vector, now);
  if (memory_.of_held(receiver).turn.kind == Handover::Kind::kForAck) switch_back(receiver, now);
}

// An acknowledgement by a vCPU that was brought onto its worker for it: if the yielder waits for no other, it
// runs next. It has given its turn and used little of it, so the nomination is honoured more often than not.
void DirectedYields::switch_back(Vcpu& receiver, Nanos now) {
  const VmInfo& vm = vm_of(receiver);
  VcpuYields& its = memory_.of_held(receiver);
  const Vcpu& sender = workers_.vcpu(its.turn.donor);
  if (!went_on(its.turn) && memory_.of(vm).ipi->next_awaited(sender.index, sender.index, now)) return;
  const Handover turn = std::exchange(its.turn, {.back = its.turn.back});
  if (went_on(turn)) return;
  const Status& state = workers_.status(turn.donor);
  const Status::View status = state.view();
  if (status.state() != RunState::kQueued || !status.spinning()) return;
  Worker& worker = workers_.at(status.worker());
  MutexLock lock(worker.mutex);
  const Status::View now_there = state.view();
  if (now_there.state() != RunState::kQueued || now_there.worker() != status.worker()) return;
  worker.eevdf->nominate(workers_.vcpu(turn.donor), vm.policy.tuning.nomination_lag);
  worker.eevdf->cancel_protection();
  workers_.kick(worker.id);
}

// An urgent turn is over, or a donated one: whoever gave it runs next, if it still waits. A lock holder that was taken off
// needs only the rest of its critical section; with a fair lock, one that goes on would queue up again behind
// those who wait, and every handover from then on would take a switch.
bool DirectedYields::end_donation(Worker& worker, Vcpu& receiver, Nanos now) {
  const VmInfo& vm = vm_of(receiver);
  VcpuYields& its = memory_.of(worker, receiver);
  memory_.of(vm).donations.count_exit(now);
  worker.turn_limit = kForever;
  const Handover turn = std::exchange(its.turn, {.back = its.turn.back});
  if (turn.kind == Handover::Kind::kUrgent) return worker.queue->waiting() > 0;
  if (went_on(turn)) return false;
  const Status::View status = workers_.status(turn.donor).view();
  if (status.state() != RunState::kQueued || status.worker() != worker.id || !status.spinning()) return false;
  worker.eevdf->nominate(workers_.vcpu(turn.donor), vm.policy.tuning.nomination_lag);
  worker.eevdf->cancel_protection();
  memory_.after_donation(receiver.id).store(true, std::memory_order_relaxed);
  return true;
}

// It runs no more what it ran: nobody waits for it, it waits for nobody, and what it did after its sends
// counts no longer for how long its VM's turns are.
void DirectedYields::forget(Vcpu& vcpu) {
  VmYields& vm = memory_.of(vm_of(vcpu));
  VcpuYields& its = memory_.of_held(vcpu);
  if (vm.ipi != nullptr) vm.ipi->forget(vcpu.index);
  if (its.waits_after_send.sure()) vm.awaiting.fetch_sub(1, std::memory_order_relaxed);
  its.waits_after_send.forget();
}

// The yielder spins again or leaves the worker: a hit if the target ran and the wait is over; harmful if the
// target ran only to spin itself; else a miss.
void DirectedYields::note_outcome(const Worker& worker, Vcpu& vcpu, VcpuYields& yields, bool waits_on,
                                  Nanos now) {
  YieldOutcome& outcome = yields.outcome;
  if (outcome.stage != YieldOutcome::Stage::kBack) return;
  outcome.stage = YieldOutcome::Stage::kNone;
  const Progress& progress = workers_.progress(outcome.target);
  const bool ran = progress.runs.load(std::memory_order_relaxed) != outcome.target_runs;
  const bool hit = ran && !waits_on;
  const bool spun = progress.spins.load(std::memory_order_relaxed) != outcome.target_spins;
  // The next owner of a fair lock goes on at once, and begins another wait at most; where any waiter may be the next,
  // most spin on, and the yielder's own wait may have ended without any doing of theirs.
  VmYields& vm = memory_.of(vm_of(vcpu));
  const bool spun_on = spun && vm.tells_waits.load(std::memory_order_relaxed) &&
                       progress.waiting_since.load(std::memory_order_relaxed) == outcome.target_waits_since;
  if (outcome.reason == YieldReason::kWaiter) vm.handovers.count(hit && !spun_on);
  if (outcome.reason == YieldReason::kRelaxed) vm.relaxed.count(ran && !spun_on);
  TraceOutcome said = TraceOutcome::kMiss;
  if (hit) {
    said = TraceOutcome::kHit;
    ++vcpu.stats.yield_hits;
  } else if (ran && spun) {
    said = TraceOutcome::kHarmful;
    ++vcpu.stats.yield_harmful;
  } else {
    ++vcpu.stats.yield_misses;
  }
  workers_.tracer().say(TraceKind::kOutcome, now, worker.id, vcpu.id,
                        {.why = static_cast<uint8_t>(said), .other = outcome.target});
}

}  // namespace sched
