#include "sched/yield/attempt.h"

namespace sched {

using Result = YieldAttempt::Result;

namespace {

// Found because it was taken off a worker: that says nothing of the yielder's wait.
bool is_sure(YieldReason reason) {
  return reason != YieldReason::kPreempted && reason != YieldReason::kRelaxed;
}

}  // namespace

HandoverAttempt::HandoverAttempt(Workers& workers, YieldMemory& memory, const VmInfo& vm, Worker& here,
                                 Nanos now)
    : workers_(workers),
      memory_(memory),
      vm_(vm),
      here_(here),
      me_(*here.running),
      mine_(memory.of_running(here)),
      now_(now) {}

Result HandoverAttempt::operator()(uint32_t index, YieldReason reason) {
  Vcpu& target = workers_.vcpu(vm_.vcpu(index));
  const Status::View status = workers_.status(target.id).view();
  if (status.state() != RunState::kQueued) return Result::kNotRunnable;
  const WorkerId where = status.worker();
  hands_ = hand_over(target, reason);
  sure_ = is_sure(reason);
  const Result result = where == here_.id                              ? yield_here(target)
                        : vm_.policy.features.pull && workers_.moves() ? pull(target, where)
                                                                       : yield_there(target, where);
  if (result == Result::kNotRunnable) return result;
  say(TraceKind::kYield, target, static_cast<uint8_t>(reason),
      static_cast<uint64_t>(result == Result::kDone ? how_ : TraceYield::kFailed));
  ++me_.stats.yields_tried;
  if (result == Result::kDone) note_done(target, reason);
  return result;
}

Handover HandoverAttempt::hand_over(const Vcpu& target, YieldReason reason) const {
  const bool for_ack = reason == YieldReason::kIpiReceiver || reason == YieldReason::kChain;
  const bool for_lock = reason == YieldReason::kHolder || reason == YieldReason::kWaiter ||
                        reason == YieldReason::kOwner;
  if (for_ack && vm_.policy.features.switch_back && computes(target)) return lend(Handover::Kind::kForAck);
  if (for_lock && donation_) return lend(Handover::Kind::kForLock, *donation_);
  return {};
}

Handover HandoverAttempt::lend(Handover::Kind kind, Nanos length) const {
  return {.kind = kind,
          .donor = me_.id,
          .donor_runs = workers_.progress(me_.id).runs.load(std::memory_order_relaxed),
          .length = length,
          .back = std::nullopt};
}

bool HandoverAttempt::still_waits(const Vcpu& target, WorkerId where) const {
  const Status::View status = workers_.status(target.id).view();
  return status.state() == RunState::kQueued && status.worker() == where;
}

// It has not waited for anybody in the last slice. One that does gives up its turn soon by itself: letting it
// go on saves the switch back.
bool HandoverAttempt::computes(const Vcpu& vcpu) const {
  const Nanos waited{workers_.progress(vcpu.id).waiting_since.load(std::memory_order_relaxed)};
  return waited == Nanos{} || now_ - waited > vm_.policy.tuning.slice;
}

// One sibling waits for a worker, all others run, halt or have ended.
bool HandoverAttempt::only_one_missing() const {
  uint32_t waiting = 0;
  for (uint32_t i = 0; i < vm_.size && waiting < 2; ++i) {
    if (workers_.status(vm_.vcpu(i)).view().state() == RunState::kQueued) ++waiting;
  }
  return waiting == 1;
}

Result HandoverAttempt::yield_here(Vcpu& target) {
  MutexLock lock(here_.mutex);
  if (!still_waits(target, here_.id)) return Result::kNotRunnable;
  const bool lent = hands_.kind != Handover::Kind::kGiven;
  WorkerYields& limits = memory_.of(here_);
  const YieldContext context{*here_.eevdf, limits.deboost, limits.credit, vm_.policy,
                             me_,          target,         now_,          lent,
                             sure_};
  const YieldEffects effects = apply_local_yield(context);
  count(effects, target);
  how_ = pulled_from_ ? TraceYield::kPulled : TraceYield::kHere;
  if (lent) say(TraceKind::kDonate, target, 0, static_cast<uint64_t>(hands_.length.count()));
  Handover& its_next = memory_.of(here_, target).next_turn;
  if (!lent && pulled_from_) mine_.move_to = *pulled_from_;
  // Who was brought here before goes home all the same.
  hands_.back = lent && pulled_from_ ? pulled_from_ : its_next.back;
  its_next = hands_;
  take_off_ = effects.reschedule;
  return Result::kDone;
}

// The target waits on another worker: it is preferred there and that worker reschedules; here the yielder
// gives up its turn if anybody waits for it. Alone here and alone there, both run without it: Linux's
// yield_to() fails then.
Result HandoverAttempt::yield_there(Vcpu& target, WorkerId where) {
  {
    Worker& there = workers_.at(where);
    MutexLock lock(there.mutex);
    if (!still_waits(target, where)) return Result::kNotRunnable;
    if (alone_ && there.queue->runnable() == 1) return Result::kFailed;
    prefer_there(there, target);
  }
  MutexLock lock(here_.mutex);
  apply_yielder_only(*here_.eevdf, memory_.of(here_).deboost, vm_.policy, now_);
  take_off_ = here_.queue->waiting() > 0;
  ++me_.stats.yields_remote;
  return Result::kDone;
}

void HandoverAttempt::yield_to_anyone() {
  MutexLock lock(here_.mutex);
  apply_yielder_only(*here_.eevdf, memory_.of(here_).deboost, vm_.policy, now_);
  take_off_ = here_.queue->waiting() > 0;
}

// The target comes here and runs at once. If its turn is lent, it goes home at the end of it. Else the
// yielder takes its place there: changing places, unlike pulling alone, leaves load and spread of the VM as
// they are. Where the target is the last one missing, and a foreign VM runs in its place, it is kicked in
// there while the yielder goes on: from then on the whole VM runs at once.
Result HandoverAttempt::pull(Vcpu& target, WorkerId where) {
  {
    Worker& there = workers_.at(where);
    MutexLock lock(there.mutex);
    if (!still_waits(target, where)) return Result::kNotRunnable;
    const Vcpu* running = there.queue->current();
    if (hands_.kind != Handover::Kind::kForLock && running != nullptr && running->vm != me_.vm &&
        only_one_missing()) {
      prefer_there(there, target);
      ++me_.stats.yields_remote;
      return Result::kDone;
    }
    workers_.detach(there, target, now_);
  }
  workers_.moved(now_, target.id, where, here_.id, TraceMove::kPull);
  workers_.enqueue(target, here_.id, now_);
  pulled_from_ = where;
  const Result result = yield_here(target);
  if (result == Result::kDone) ++me_.stats.pulls;
  pulled_from_.reset();
  return result;
}

void HandoverAttempt::prefer_there(Worker& there, Vcpu& target) {
  const YieldEffects effects =
      apply_remote_yield(*there.eevdf, memory_.of(there).credit, vm_.policy, target, sure_, now_);
  count(effects, target);
  how_ = TraceYield::kThere;
  if (effects.reschedule) workers_.kick(there.id);
}

void HandoverAttempt::count(const YieldEffects& effects, const Vcpu& target) {
  if (effects.penalty > Vruntime{}) {
    ++me_.stats.penalties;
    say(TraceKind::kPenalty, target, 0, static_cast<uint64_t>(effects.penalty.ticks));
  }
  me_.stats.penalty_sum += effects.penalty;
  if (!effects.credited) return;
  ++me_.stats.credits;
  workers_.tracer().say(TraceKind::kCredit, now_, here_.id, target.id, {.other = me_.id});
}

void HandoverAttempt::say(TraceKind kind, const Vcpu& target, uint8_t why, uint64_t value) const {
  workers_.tracer().say(kind, now_, here_.id, me_.id, {.why = why, .value = value, .other = target.id});
}

void HandoverAttempt::note_done(const Vcpu& target, YieldReason reason) {
  ++me_.stats.yields_done[static_cast<size_t>(reason)];
  if (right_ != nullptr && right_->test(target.index)) ++me_.stats.yields_right[static_cast<size_t>(reason)];
  if (workers_.status(target.id).view().worker() == here_.id) ++me_.stats.yields_local;
  const Progress& progress = workers_.progress(target.id);
  mine_.outcome = {.stage = take_off_ ? YieldOutcome::Stage::kAway : YieldOutcome::Stage::kBack,
                   .target = target.id,
                   .target_runs = progress.runs.load(std::memory_order_relaxed),
                   .target_spins = progress.spins.load(std::memory_order_relaxed),
                   .target_waits_since = progress.waiting_since.load(std::memory_order_relaxed),
                   .reason = reason};
}

}  // namespace sched
