// Directed yield: a spin exit, or the send of an IPI, from its charge to its effect.
#include <algorithm>
#include <utility>

#include "sched/base/check.h"
#include "sched/scheduler.h"
#include "sched/yield/candidate.h"
#include "sched/yield/effect.h"

namespace sched {
namespace {

constexpr uint64_t kRetryEvery = 16;  // spin exits: one of them tries a yield to a waiter against the odds

}  // namespace

// One directed yield in progress, on the spinner's worker. Looks at each candidate again under the lock of
// the queue that it waits on, because it may have left since the scan saw it.
class Scheduler::DirectedYield final : public YieldAttempt {
 public:
  // alone: nobody else is runnable on the spinner's worker.
  DirectedYield(Scheduler& scheduler, WorkerId here, Vcpu& me, bool alone, const Policy& policy, bool lends,
                Nanos now)
      : s_(scheduler),
        here_(here),
        me_(me),
        alone_(alone),
        policy_(policy),
        now_(now),
        lends_(lends && policy.features.loan) {}

  bool take_off() const { return take_off_; }

  Result operator()(uint32_t index, YieldReason reason) override {
    Vm& vm = s_.vm_at(me_.vm);
    Vcpu& target = s_.vcpus_[vm.first + index];
    const Status::View status = s_.status_at(target.id).view();
    if (status.state() != RunState::kQueued) return Result::kNotRunnable;
    const WorkerId where = status.worker();
    const bool for_ack = reason == YieldReason::kIpiReceiver || reason == YieldReason::kChain;
    const bool for_lock = reason == YieldReason::kHolder || reason == YieldReason::kWaiter;
    hands_ = {};
    if (for_ack && policy_.features.resume && computes(target)) hands_ = lend(Handover::Kind::kForAck);
    if (for_lock && lends_) {
      hands_ = lend(Handover::Kind::kForLock, s_.spin_window_ * policy_.tuning.loan_windows);
    }
    const Result result = where == here_                       ? yield_here(target)
                          : policy_.features.pull && s_.moves_ ? pull(target, where)
                                                               : yield_there(target, where);
    if (result == Result::kNotRunnable) return result;
    ++me_.stats.yields_tried;
    if (result == Result::kDone) note_done(target, reason);
    return result;
  }

 private:
  bool still_waits(const Vcpu& target, WorkerId where) const {
    const Status::View status = s_.status_at(target.id).view();
    return status.state() == RunState::kQueued && status.worker() == where;
  }

  // It has not waited for anybody in the last slice. One that does gives up its turn soon by itself: letting
  // it go on saves the switch back.
  bool computes(const Vcpu& vcpu) const {
    const Nanos waited{s_.pulse_[index_of(vcpu.id)].waiting_since.load(std::memory_order_relaxed)};
    return waited == Nanos{} || now_ - waited > policy_.tuning.slice;
  }

  // One sibling waits for a worker, all others run, halt or have ended.
  bool only_one_missing() const {
    const Vm& vm = s_.vm_at(me_.vm);
    uint32_t waiting = 0;
    for (uint32_t i = 0; i < vm.size && waiting < 2; ++i) {
      if (s_.status_[vm.first + i].view().state() == RunState::kQueued) ++waiting;
    }
    return waiting == 1;
  }

  Result yield_here(Vcpu& target) {
    Worker& worker = s_.worker_at(here_);
    MutexLock lock(worker.mutex);
    if (!still_waits(target, here_)) return Result::kNotRunnable;
    const bool lent = hands_.kind != Handover::Kind::kGiven;
    const YieldContext context{*worker.eevdf, worker.deboost, worker.credit, policy_,
                               me_,           target,         now_,          lent};
    const YieldEffects effects = apply_local_yield(context);
    count(effects);
    if (!lent && pulled_from_) me_.move_to = *pulled_from_;
    // Who was brought here before goes home all the same.
    hands_.back = lent && pulled_from_ ? *pulled_from_ : target.next_turn.back;
    target.next_turn = hands_;
    take_off_ = effects.reschedule;
    return Result::kDone;
  }

  // The target waits on another worker: it is preferred there and that worker reschedules; here the yielder
  // gives up its turn if anybody waits for it. Alone here and alone there, both run without it: Linux's
  // yield_to() fails then.
  Result yield_there(Vcpu& target, WorkerId where) {
    {
      Worker& there = s_.worker_at(where);
      MutexLock lock(there.mutex);
      if (!still_waits(target, where)) return Result::kNotRunnable;
      if (alone_ && there.queue->runnable() == 1) return Result::kFailed;
      prefer_there(there, where, target);
    }
    Worker& worker = s_.worker_at(here_);
    MutexLock lock(worker.mutex);
    apply_yielder_only(*worker.eevdf, worker.deboost, policy_, now_);
    take_off_ = worker.queue->waiting() > 0;
    ++me_.stats.yields_remote;
    return Result::kDone;
  }

  // kvmux: the target comes here and runs at once. If it comes to acknowledge an IPI, it goes home at the end
  // of its turn. Else the spinner takes its place there: changing places, unlike pulling alone, leaves load
  // and spread of the VM as they are. Where the target is the last one missing, and a foreign VM runs in its
  // place, it is kicked in there while the spinner goes on: from then on the whole VM runs at once.
  Result pull(Vcpu& target, WorkerId where) {
    {
      Worker& there = s_.worker_at(where);
      MutexLock lock(there.mutex);
      if (!still_waits(target, where)) return Result::kNotRunnable;
      const Vcpu* running = there.queue->current();
      if (hands_.kind != Handover::Kind::kForLock && running != nullptr && running->vm != me_.vm &&
          only_one_missing()) {
        prefer_there(there, where, target);
        ++me_.stats.yields_remote;
        return Result::kDone;
      }
      there.queue->dequeue(target, now_);
      s_.status_at(target.id).set_moving();
      s_.publish(there, where);
    }
    s_.enqueue_moving(target, here_, now_);
    pulled_from_ = where;
    const Result result = yield_here(target);
    if (result == Result::kDone) ++me_.stats.pulls;
    pulled_from_.reset();
    return result;
  }

  void prefer_there(Worker& there, WorkerId where, Vcpu& target) SCHED_REQUIRES(there.mutex) {
    const YieldEffects effects = apply_remote_yield(*there.eevdf, there.credit, policy_, target, now_);
    count(effects);
    if (effects.reschedule) s_.host_.kick(where);
  }

  Handover lend(Handover::Kind kind, Nanos length = {}) const {
    return {.kind = kind,
            .lender = me_.id,
            .lender_runs = s_.pulse_[index_of(me_.id)].runs.load(std::memory_order_relaxed),
            .length = length};
  }

  void count(const YieldEffects& effects) {
    if (effects.penalty > Vruntime{}) ++me_.stats.penalties;
    me_.stats.penalty_sum += effects.penalty;
    if (effects.credited) ++me_.stats.credits;
  }

  void note_done(Vcpu& target, YieldReason reason) {
    ++me_.stats.yields_done[static_cast<size_t>(reason)];
    if (s_.status_at(target.id).view().worker() == here_) ++me_.stats.yields_local;
    const Pulse& pulse = s_.pulse_[index_of(target.id)];
    me_.yield.stage = take_off_ ? YieldOutcome::Stage::kAway : YieldOutcome::Stage::kBack;
    me_.yield.target = target.id;
    me_.yield.to_waiter = reason == YieldReason::kWaiter;
    me_.yield.target_runs = pulse.runs.load(std::memory_order_relaxed);
    me_.yield.target_spins = pulse.spins.load(std::memory_order_relaxed);
  }

  Scheduler& s_;
  const WorkerId here_;
  Vcpu& me_;
  const bool alone_;
  const Policy& policy_;
  const Nanos now_;
  bool take_off_ = false;
  const bool lends_;  // loans pay in this VM
  Handover hands_;    // what the attempt gives
  std::optional<WorkerId> pulled_from_;
};

// A guest that says nothing of its waits spins for whole windows: a spin exit much later than one window
// after it came back is about something else.
bool Scheduler::begins_wait(const Vcpu& vcpu, Wait wait, Nanos now) const {
  if (wait != Wait::kUnknown) return wait == Wait::kBegins;
  return vcpu.wait_spins == 0 || now - std::max(vcpu.came_on, vcpu.last_spin) > 3 * spin_window_;
}

// The running vCPU's books at a spin exit. Under its queue's lock.
void Scheduler::note_spin_exit(Vcpu& me, Wait wait, Nanos now) {
  ++me.stats.spin_exits;
  const bool begins = begins_wait(me, wait, now);
  const IpiModel* ipi = vm_at(me.vm).ipi.get();
  const bool for_ack = ipi != nullptr && ipi->next_awaited(me.index, me.index, now).has_value();
  const bool yielded_at_send = me.wait_spins == 0;  // then the wait is older than its first bell
  note_outcome(me, !begins || (yielded_at_send && for_ack));
  if (for_ack) note_wait(me);
  Pulse& pulse = pulse_[index_of(me.id)];
  pulse.spins.store(pulse.spins.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if (begins) {
    pulse.waiting_since.store(now.count(), std::memory_order_relaxed);
    me.wait_spins = 0;
  }
  ++me.wait_spins;
  me.last_spin = now;
}

// The same at a send that begins a wait.
void Scheduler::note_wait_at_send(Vcpu& me, Nanos now) {
  note_outcome(me, false);
  me.wait_spins = 0;
  pulse_[index_of(me.id)].waiting_since.store(now.count(), std::memory_order_relaxed);
}

// The end of a turn is no reason not to yield: the yielder leaves in any case, but for whom, and that it
// waits, is to be known. One that is not marked would be taken for the owner of a lock, gone in mid-work.
bool Scheduler::yield(WorkerId id, Nanos now, const YieldCause& cause) {
  Worker& worker = worker_at(id);
  SCHED_CHECK(worker.running != nullptr);
  Vcpu& me = *worker.running;
  const bool at_send = cause.kind == YieldCause::Kind::kSend;
  if (at_send && !foresees_wait(me, now)) return false;
  Vm& vm = vm_at(me.vm);
  bool over = false;
  bool alone = false;
  bool carries = false;  // a run queue without virtual time has nothing that a yield could act on
  {
    MutexLock lock(worker.mutex);
    if (!at_send) note_spin_exit(me, cause.wait, now);
    over = worker.queue->tick(now);
    if (at_send) note_wait_at_send(me, now);
    carries = worker.eevdf != nullptr;
    alone = worker.queue->runnable() == 1;
  }
  const bool wanted = at_send ? vm.policy.features.eager : vm.policy.features.spin;
  if (carries && wanted && vm.size > 1) over = yield_to_sibling(id, me, alone, cause, now) || over;
  if (over) status_at(me.id).set_spinning();
  return over;
}

// True: the yielder leaves.
bool Scheduler::yield_to_sibling(WorkerId id, Vcpu& me, bool alone, const YieldCause& cause, Nanos now) {
  Vm& vm = vm_at(me.vm);
  const bool at_send = cause.kind == YieldCause::Kind::kSend;
  if (!at_send) vm.loans.count_exit(now);
  DirectedYield attempt(*this, id, me, alone, vm.policy, !at_send && vm.loans.first_way(), now);
  const SpinScan scan = scan_of(me, cause, now);
  const auto target =
      at_send ? yield_to_awaited(vm.policy, scan, attempt) : directed_yield(vm.policy, scan, attempt);
  if (target) vm.last_boosted.store(*target, std::memory_order_relaxed);
  return attempt.take_off();
}

SpinScan Scheduler::scan_of(const Vcpu& me, const YieldCause& cause, Nanos now) {
  Vm& vm = vm_at(me.vm);
  SpinScan scan{};
  scan.vcpus = {&status_[vm.first], vm.size};
  scan.pulses = {&pulse_[vm.first], vm.size};
  scan.me = me.index;
  scan.start_after = vm.last_boosted.load(std::memory_order_relaxed);
  scan.ipi = vm.ipi.get();
  scan.now = now;
  if (cause.kind == YieldCause::Kind::kSend) return scan;
  scan.in_kernel = cause.in_kernel && needs_cpl(vm.policy.features);
  scan.handovers =
      vm.handover.load(std::memory_order_relaxed) > -kHandoverRange || me.stats.spin_exits % kRetryEvery == 0;
  scan.spins_before = me.wait_spins - 1;
  return scan;
}

// Does anything depend on whether this VM's vCPUs wait for those to whom they send? If not, a send costs
// neither lock nor walk.
bool Scheduler::watches_sends(const Vm& vm) const {
  return vm.ipi != nullptr && (vm.policy.features.eager || vm.policy.tuning.patience > 1);
}

// Linux guests ask for a yield by a hypercall after an IPI to preempted vCPUs (KVM_HC_SCHED_YIELD). Here the
// send itself is seen, and the sender's habit says whether it will wait: a spin window and a spin exit are
// saved.
bool Scheduler::foresees_wait(Vcpu& me, Nanos now) {
  const Vm& vm = vm_at(me.vm);
  if (!watches_sends(vm) || !awaits_queued(me, now)) return false;
  return sends_and_waits(me) && vm.policy.features.eager;
}

// Who runs acknowledges before a yield would be over.
bool Scheduler::awaits_queued(const Vcpu& me, Nanos now) {
  const Vm& vm = vm_at(me.vm);
  for (uint32_t i = 0; i < vm.size; ++i) {
    if (status_[vm.first + i].view().state() == RunState::kQueued && vm.ipi->awaits(me.index, i, now))
      return true;
  }
  return false;
}

// Its habit, as far as it shows; and with it whether its VM's turns are to be short.
bool Scheduler::sends_and_waits(Vcpu& me) {
  const bool was_sure = me.habit.sure();
  const bool waits = me.habit.sends();
  if (was_sure && !me.habit.sure()) vm_at(me.vm).awaiting.fetch_sub(1, std::memory_order_relaxed);
  return waits;
}

void Scheduler::note_wait(Vcpu& me) {
  const bool was_sure = me.habit.sure();
  me.habit.waits();
  if (!was_sure && me.habit.sure()) vm_at(me.vm).awaiting.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace sched
