// Directed yield: a spin exit from its charge to its effect, and what became of it.
#include "sched/candidate.h"
#include "sched/check.h"
#include "sched/scheduler.h"
#include "sched/yield_effect.h"

namespace sched {

// One directed yield in progress, on the spinner's worker. Looks at each candidate again under the lock of
// the queue that it waits on, because it may have left since the scan saw it.
class Scheduler::DirectedYield final : public YieldAttempt {
 public:
  // alone: nobody else is runnable on the spinner's worker.
  DirectedYield(Scheduler& scheduler, WorkerId here, Vcpu& me, bool alone, const Policy& policy, Nanos now)
      : s_(scheduler), here_(here), me_(me), alone_(alone), policy_(policy), now_(now) {}

  bool take_off() const { return take_off_; }

  Result operator()(uint32_t index, YieldReason reason) override {
    Vm& vm = s_.vm_at(me_.vm);
    Vcpu& target = s_.vcpus_[vm.first + index];
    const Status::View status = s_.status_at(target.id).view();
    if (status.state() != RunState::kQueued) return Result::kNotRunnable;
    const WorkerId where = status.worker();
    const Result result = where == here_          ? yield_here(target)
                          : policy_.features.pull ? pull_or_nominate(target, where)
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

  Result yield_here(Vcpu& target) {
    Worker& worker = s_.worker_at(here_);
    MutexLock lock(worker.mutex);
    if (!still_waits(target, here_)) return Result::kNotRunnable;
    const YieldContext context{*worker.eevdf, worker.deboost, worker.credit, policy_, me_, target, now_};
    count(apply_local_yield(context));
    take_off_ = true;
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
      count(apply_remote_yield(*there.eevdf, there.credit, policy_, target, now_));
      s_.host_.kick(where);
    }
    Worker& worker = s_.worker_at(here_);
    MutexLock lock(worker.mutex);
    apply_yielder_only(*worker.eevdf, worker.deboost, policy_, now_);
    take_off_ = worker.queue->waiting() > 0;
    ++me_.stats.yields_remote;
    return Result::kDone;
  }

  // kvmux. Where the other worker runs a foreign VM, the target is kicked in there and both run at once;
  // where it runs a sibling, which may be as stuck as we are, the target comes here.
  Result pull_or_nominate(Vcpu& target, WorkerId where) {
    Worker& there = s_.worker_at(where);
    {
      MutexLock lock(there.mutex);
      if (!still_waits(target, where)) return Result::kNotRunnable;
      const Vcpu* running = there.queue->current();
      if (running != nullptr && running->vm != target.vm) {
        there.eevdf->nominate(target, policy_.tuning.nomination_lag);
        there.eevdf->cancel_protection();
        s_.host_.kick(where);
        ++me_.stats.yields_remote;
        return Result::kDone;  // and keep spinning here
      }
      there.queue->dequeue(target, now_);
      s_.status_at(target.id).set_moving();
      s_.publish(there);
    }
    s_.enqueue_moving(target, here_, now_);
    ++me_.stats.pulls;
    return yield_here(target);
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
    me_.yield.since = now_;
    me_.yield.target = target.id;
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
};

bool Scheduler::spin(WorkerId id, Nanos now, bool in_kernel) {
  Worker& worker = worker_at(id);
  Vcpu* me = nullptr;
  bool eevdf = false;
  bool alone = false;
  {
    MutexLock lock(worker.mutex);
    me = worker.queue->current();
    SCHED_CHECK(me != nullptr);
    ++me->stats.spin_exits;
    note_outcome(*me, true, now);
    std::atomic<uint32_t>& spins = pulse_[index_of(me->id)].spins;
    spins.store(spins.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    if (worker.queue->tick(now)) return true;  // its turn is over anyway
    eevdf = worker.eevdf != nullptr;
    alone = worker.queue->runnable() == 1;
  }
  Vm& vm = vm_at(me->vm);
  if (!eevdf || !vm.policy.features.spin || vm.size < 2) return false;
  Status& status = status_at(me->id);
  status.set_spinning();
  DirectedYield attempt(*this, id, *me, alone, vm.policy, now);
  const SpinScan scan{
      .vcpus = {&status_[vm.first], vm.size},
      .me = me->index,
      .start_after = vm.last_boosted.load(std::memory_order_relaxed),
      .in_kernel = in_kernel,
      .ipi = vm.ipi.get(),
      .helper =
          me->yield.helper == kNoVcpu ? std::nullopt : std::optional(index_of(me->yield.helper) - vm.first),
      .now = now,
  };
  if (const auto target = directed_yield(vm.policy, scan, attempt)) {
    vm.last_boosted.store(*target, std::memory_order_relaxed);
  }
  if (!attempt.take_off()) status.clear_spinning();
  return attempt.take_off();
}

// The yielder comes back onto a worker: did the target run meanwhile?
void Scheduler::note_return(Vcpu& vcpu) {
  if (vcpu.yield.stage != YieldOutcome::Stage::kAway) return;
  vcpu.yield.stage = YieldOutcome::Stage::kBack;
  vcpu.yield.since = vcpu.came_on;
}

// The yielder spins again or leaves the worker: a hit if the target ran and the wait is over, that is if it
// went on for two spin windows; harmful if the target ran only to spin itself; else a miss.
void Scheduler::note_outcome(Vcpu& vcpu, bool spins_again, Nanos now) {
  YieldOutcome& yield = vcpu.yield;
  if (yield.stage != YieldOutcome::Stage::kBack) return;
  yield.stage = YieldOutcome::Stage::kNone;
  const Pulse& pulse = pulse_[index_of(yield.target)];
  const bool ran = pulse.runs.load(std::memory_order_relaxed) != yield.target_runs;
  const bool waits_on = spins_again && now - yield.since < 2 * spin_window_;
  if (ran && !waits_on) {
    ++vcpu.stats.yield_hits;
    yield.helper = yield.target;
    return;
  }
  yield.helper = kNoVcpu;
  if (ran && pulse.spins.load(std::memory_order_relaxed) != yield.target_spins) {
    ++vcpu.stats.yield_harmful;
  } else {
    ++vcpu.stats.yield_misses;
  }
}

}  // namespace sched
