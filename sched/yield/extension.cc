// What follows without a yield: turns that go on past their end, receivers of IPIs that are made urgent, and what
// guests publish and are told.
#include <algorithm>

#include "sched/yield/directed_yields.h"

namespace sched {

void DirectedYields::guest_publishes(const VmInfo& vm, const GuestPages& pages) {
  pages_[index_of(vm.id)] = pages;
  tell(vm, vm.policy.features);
}

void DirectedYields::change(const VmInfo& vm, const Policy& next, Nanos now) {
  memory_.change(vm, next, now);
  tell(vm, next.features);
}

void DirectedYields::tell(const VmInfo& vm, const Features& features) {
  const GuestPages& pages = pages_[index_of(vm.id)];
  const uint64_t told = (features.tell_preempted ? kTellsPreempted : 0) |
                        (features.tell_turn_end ? kTellsTurnEnd : 0) |
                        (features.extend == Extend::kAsked ? kHearsAsks : 0);
  for (uint32_t i = 0; i < pages.size(); ++i) {
    GuestPage::store(pages[i].told, told);
    GuestPage::store(pages[i].preempted, 0);
    GuestPage::store(pages[i].turn_end, ~uint64_t{0});
  }
}

void DirectedYields::tell_preempted(const Vcpu& vcpu, bool preempted) {
  if (!vm_of(vcpu).policy.features.tell_preempted) return;
  const GuestPages& pages = pages_[index_of(vcpu.vm)];
  if (!pages.empty()) GuestPage::store(pages[vcpu.index].preempted, preempted ? 1 : 0);
}

// One extension a turn. It is charged as all time is, so that who had it is behind by as much.
bool DirectedYields::extends(Worker& worker, Vcpu& vcpu, Nanos now) {
  if (worker.eevdf == nullptr) return false;
  if (worker.extended_until != Nanos{}) return now < worker.extended_until;
  const Nanos length = extension_of(worker, vcpu, now);
  if (length == Nanos{}) return false;
  const VmInfo& vm = vm_of(vcpu);
  if (vm.policy.features.extend == Extend::kAsked) {
    worker.eevdf->surcharge(length * vm.policy.tuning.extend_price / 100);
  }
  worker.extended_until = now + length;
  ++vcpu.stats.extensions;
  return true;
}

Nanos DirectedYields::extension_of(const Worker& worker, const Vcpu& vcpu, Nanos now) {
  const VmInfo& vm = vm_of(vcpu);
  const Features& features = vm.policy.features;
  const Nanos most = vm.policy.tuning.extend_most;
  const GuestPages& pages = pages_[index_of(vm.id)];
  if (!pages.empty() && features.extend == Extend::kCritical) {
    if (GuestPage::load(pages[vcpu.index].critical) != 0) return most;
  }
  if (!pages.empty() && features.extend == Extend::kAsked) {
    const uint64_t asked = GuestPage::load(pages[vcpu.index].asks);
    return Nanos{static_cast<int64_t>(std::min(asked, static_cast<uint64_t>(most.count())))};
  }
  return features.urgent && waits_elsewhere(worker, vcpu, now) ? most : Nanos{};
}

// A receiver that has yet to run here would wait for as long.
bool DirectedYields::waits_elsewhere(const Worker& here, const Vcpu& sender, Nanos now) const {
  const VmInfo& vm = vm_of(sender);
  const IpiModel* ipi = memory_.of(vm).ipi.get();
  if (ipi == nullptr) return false;
  bool any = false;
  for (uint32_t i = 0; i < vm.size; ++i) {
    if (!ipi->awaits(sender.index, i, now)) continue;
    const Status::View status = workers_.status(vm.vcpu(i)).view();
    if (status.state() == RunState::kQueued && status.worker() == here.id) return false;
    any = true;
  }
  return any;
}

// On its sender's own worker a receiver is next, when the sender leaves; elsewhere it runs at once.
void DirectedYields::urge_receivers(Worker& here, Vcpu& me, Nanos now) {
  const VmInfo& vm = vm_of(me);
  const IpiModel* ipi = memory_.of(vm).ipi.get();
  if (ipi == nullptr) return;
  for (uint32_t i = 0; i < vm.size; ++i) {
    const Status::View status = workers_.status(vm.vcpu(i)).view();
    if (i == me.index || status.state() != RunState::kQueued || !ipi->awaits(me.index, i, now)) continue;
    Worker& where = workers_.at(status.worker());
    if (urge(where, workers_.vcpu(vm.vcpu(i)), me, where.id != here.id)) ++me.stats.urged;
  }
}

// Urgent: picked although others are before it, as far as a nominee may be ahead. A turn that ends soon bounds what
// that takes from others at a time.
bool DirectedYields::urge(Worker& where, Vcpu& receiver, const Vcpu& sender, bool elsewhere) {
  MutexLock lock(where.mutex);
  const Status::View status = workers_.status(receiver.id).view();
  if (status.state() != RunState::kQueued || status.worker() != where.id || where.eevdf == nullptr) return false;
  where.eevdf->nominate(receiver, Nomination(vm_of(receiver).policy.tuning.nomination_lag));
  Handover& next = memory_.of(where, receiver).next_turn;
  if (next.kind == Handover::Kind::kGiven) {
    next = {.kind = Handover::Kind::kUrgent,
            .donor = sender.id,
            .donor_runs = 0,
            .length = vm_of(receiver).policy.tuning.urgent_slice,
            .back = next.back};
  }
  if (elsewhere) {
    where.eevdf->cancel_protection();
    workers_.kick(where.id);
  }
  return true;
}

}  // namespace sched
