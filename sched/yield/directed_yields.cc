// A reason to yield, from its charge to the choice of a target.
#include "sched/yield/directed_yields.h"

#include <algorithm>
#include <utility>

#include "sched/base/check.h"
#include "sched/yield/attempt.h"

namespace sched {
namespace {

void count(std::atomic<uint32_t>& by_the_holder) {
  by_the_holder.store(by_the_holder.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// Does anything depend on whether this VM's vCPUs wait for those to whom they send? If not, a send costs
// neither lock nor walk.
bool watches_sends(const VmInfo& vm, const VmYields& yields) {
  return yields.ipi != nullptr &&
         (vm.policy.features.yield_on_send || vm.policy.tuning.quantum_multiplier > 1);
}

}  // namespace

DirectedYields::DirectedYields(Workers& workers, const std::vector<VmInfo>& vms, Nanos spin_window, bool judges)
    : workers_(workers),
      vms_(vms),
      spin_window_(spin_window),
      judges_(judges),
      memory_(vms, workers.count(), workers.vcpus()),
      pages_(vms.size()) {}

// A guest that says nothing of its waits spins for whole windows: a spin exit much later than one window
// after it came back is about something else.
bool DirectedYields::begins_wait(const VcpuYields& me, const VmInfo& vm, Wait wait, Nanos now) const {
  if (wait != Wait::kUnknown) return wait == Wait::kBegins;
  const Nanos gap = spin_window_ * vm.policy.tuning.wait_gap_windows;
  return me.wait_spins == 0 || now - std::max(me.came_on, me.last_spin) > gap;
}

// The running vCPU's books at a spin exit.
void DirectedYields::note_spin_exit(Worker& worker, Vcpu& me, Wait wait, Nanos now) {
  VcpuYields& mine = memory_.of_running(worker);
  VmYields& vm = memory_.of(vm_of(me));
  ++me.stats.spin_exits;
  const bool begins = begins_wait(mine, vm_of(me), wait, now);
  if (wait != Wait::kUnknown) vm.tells_waits.store(true, std::memory_order_relaxed);
  const bool for_ack = vm.ipi != nullptr && vm.ipi->next_awaited(me.index, me.index, now).has_value();
  const bool yielded_at_send = mine.wait_spins == 0;  // then the wait is older than its first bell
  note_outcome(worker, me, mine, !begins || (yielded_at_send && for_ack), now);
  if (for_ack) {
    const bool was_sure = mine.waits_after_send.sure();
    mine.waits_after_send.waits();
    if (!was_sure && mine.waits_after_send.sure()) vm.awaiting.fetch_add(1, std::memory_order_relaxed);
  }
  Progress& progress = workers_.progress(me.id);
  count(progress.spins);
  if (begins) {
    progress.waiting_since.store(now.count(), std::memory_order_relaxed);
    mine.wait_spins = 0;
  }
  ++mine.wait_spins;
  mine.last_spin = now;
}

// The same at a send that begins a wait.
void DirectedYields::note_wait_at_send(Worker& worker, Vcpu& me, Nanos now) {
  VcpuYields& mine = memory_.of_running(worker);
  note_outcome(worker, me, mine, false, now);
  mine.wait_spins = 0;
  workers_.progress(me.id).waiting_since.store(now.count(), std::memory_order_relaxed);
}

// The end of a turn is no reason not to yield: the yielder leaves in any case, but for whom, and that it
// waits, is to be known. One that is not marked would be taken for the owner of a lock.
bool DirectedYields::yield(Worker& worker, const YieldCause& cause, Nanos now) {
  SCHED_CHECK(worker.running != nullptr);
  Vcpu& me = *worker.running;
  const bool at_send = cause.kind == YieldCause::Kind::kSend;
  const VmInfo& vm = vm_of(me);
  if (at_send && vm.policy.features.urgent) urge_receivers(worker, me, now);
  if (at_send && !foresees_wait(worker, me, now)) return false;
  bool over = false;
  bool alone = false;
  bool carries = false;  // a run queue without virtual time has nothing that a yield could act on
  {
    MutexLock lock(worker.mutex);
    if (!at_send) note_spin_exit(worker, me, cause.wait, now);
    over = worker.queue->tick(now);
    if (at_send) note_wait_at_send(worker, me, now);
    carries = worker.eevdf != nullptr;
    alone = worker.queue->runnable() == 1;
  }
  const bool wanted = at_send ? vm.policy.features.yield_on_send : vm.policy.features.spin;
  if (carries && wanted && vm.size > 1) over = yield_to_sibling(worker, me, alone, cause, now) || over;
  if (over) workers_.status(me.id).set_spinning();
  return over;
}

// True: the yielder leaves.
bool DirectedYields::yield_to_sibling(Worker& worker, Vcpu& me, bool alone, const YieldCause& cause,
                                      Nanos now) {
  const VmInfo& vm = vm_of(me);
  VmYields& yields = memory_.of(vm);
  const bool at_send = cause.kind == YieldCause::Kind::kSend;
  if (!at_send) yields.donations.count_exit(now);
  const int64_t halves = kDonatedHalves[yields.donations.way()];
  const bool donates = !at_send && vm.policy.features.donate && halves > 0 && !run_beside(vm, worker.id);
  HandoverAttempt attempt(workers_, memory_, vm, worker, now);
  if (alone) attempt.yielder_is_alone();
  if (donates) attempt.donate(spin_window_ * vm.policy.tuning.donate_windows * halves / 2);
  const SpinScan scan = scan_of(worker, me, cause, now);
  const VcpuBits right = judges_ ? queued_that_it_needs(me, at_send) : VcpuBits{};
  if (right.any()) attempt.judge_by(right);
  const auto target =
      at_send ? yield_to_awaited(vm.policy, scan, attempt) : directed_yield(vm.policy, scan, attempt);
  if (target) yields.last_boosted.store(*target, std::memory_order_relaxed);
  if (!target && !at_send && !alone && vm.policy.features.pull) attempt.yield_to_anyone();
  return attempt.take_off();
}

// A donated turn is short, and ends wherever its receiver is by then: with several siblings at work on other workers
// it may have taken a lock again that they wait for.
bool DirectedYields::run_beside(const VmInfo& vm, WorkerId here) const {
  uint32_t beside = 0;
  for (uint32_t i = 0; i < vm.size && beside < 2; ++i) {
    const Status::View status = workers_.status(vm.vcpu(i)).view();
    if (status.state() == RunState::kRunning && status.worker() != here) ++beside;
  }
  return beside > 1;
}

SpinScan DirectedYields::scan_of(const Worker& worker, const Vcpu& me, const YieldCause& cause, Nanos now) {
  const VmInfo& vm = vm_of(me);
  const VmYields& yields = memory_.of(vm);
  SpinScan scan{};
  scan.vcpus = workers_.statuses(vm.vcpu(0), vm.size);
  scan.progress = workers_.progress(vm.vcpu(0), vm.size);
  scan.after_donation = memory_.after_donations(vm);
  scan.me = me.index;
  scan.start_after = yields.last_boosted.load(std::memory_order_relaxed);
  scan.ipi = yields.ipi.get();
  scan.now = now;
  scan.pages = pages_[index_of(vm.id)];
  if (cause.kind == YieldCause::Kind::kSend) return scan;
  scan.in_kernel = cause.in_kernel && needs_cpl(vm.policy.features);
  scan.handovers = yields.handovers.worth_a_try(me.stats.spin_exits);
  scan.relaxed = !vm.policy.features.pull || yields.relaxed.worth_a_try(me.stats.spin_exits);
  scan.spins_before = memory_.of_running(worker).wait_spins - 1;
  return scan;
}

// Linux guests ask for a yield by a hypercall after an IPI to preempted vCPUs (KVM_HC_SCHED_YIELD). Here the
// send itself is seen, and what the sender did before says whether it will wait: a spin window and a spin
// exit are saved.
bool DirectedYields::foresees_wait(const Worker& worker, const Vcpu& me, Nanos now) {
  const VmInfo& vm = vm_of(me);
  VmYields& yields = memory_.of(vm);
  if (!watches_sends(vm, yields) || !awaits_queued(me, now)) return false;
  SaturatingPredictor& predictor = memory_.of_running(worker).waits_after_send;
  const bool was_sure = predictor.sure();
  const bool waits = predictor.sends();
  if (was_sure && !predictor.sure()) yields.awaiting.fetch_sub(1, std::memory_order_relaxed);
  return waits && vm.policy.features.yield_on_send;
}

// Who runs acknowledges before a yield would be over.
bool DirectedYields::awaits_queued(const Vcpu& me, Nanos now) {
  const VmInfo& vm = vm_of(me);
  const IpiModel& ipi = *memory_.of(vm).ipi;
  for (uint32_t i = 0; i < vm.size; ++i) {
    if (workers_.status(vm.vcpu(i)).view().state() == RunState::kQueued && ipi.awaits(me.index, i, now))
      return true;
  }
  return false;
}

// At a send the wait for the receivers has not begun.
VcpuBits DirectedYields::queued_that_it_needs(const Vcpu& me, bool at_send) const {
  const VmInfo& vm = vm_of(me);
  const GuestPages& pages = pages_[index_of(vm.id)];
  VcpuBits needed = at_send ? awaited_by(pages, me.index) : needed_by(pages, me.index);
  if (needed.none()) return needed;
  for (uint32_t i = 0; i < vm.size; ++i) {
    if (workers_.status(vm.vcpu(i)).view().state() != RunState::kQueued) needed.reset(i);
  }
  return needed;
}

bool DirectedYields::awaits(const VmInfo& vm, uint32_t sender, uint32_t receiver, Nanos now) const {
  const IpiModel* model = memory_.of(vm).ipi.get();
  return model != nullptr && model->awaits(sender, receiver, now);
}

void DirectedYields::ipi_sending(const VmInfo& vm, const IpiSend& send, Nanos now) {
  IpiModel* ipi = memory_.of(vm).ipi.get();
  if (ipi != nullptr && can_be_sent(send.vector)) ipi->sending(send, now);
}

void DirectedYields::ipi_accepted(const VmInfo& vm, const IpiSend& send, const VcpuSet& accepted, Nanos now) {
  IpiModel* ipi = memory_.of(vm).ipi.get();
  if (ipi != nullptr && can_be_sent(send.vector)) ipi->accepted(send, accepted, now);
}

}  // namespace sched
