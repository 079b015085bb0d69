// A vCPU's stay on a worker: enter, handle the exit, account, again, until it leaves.
#include <array>
#include <cerrno>
#include <utility>

#include "vmm/run/entry.h"
#include "vmm/run/exit.h"
#include "vmm/run/handicap.h"
#include "vmm/run/spin_sample.h"
#include "vmm/run/worker.h"

namespace vmm {
namespace {

// Where it stands (code_sites.h). Kept out of the loop's code: most exits count nothing.
[[gnu::noinline]] void count_site(const Vcpu& vcpu, SiteCounts& counts) {
  if (const auto rip = vcpu.kvm.rip_at_hand()) counts.count(*rip);
}

}  // namespace

static_assert(Kicks::kNotEntered == VcpuFd::kOnlyFinished, "both: look again before you enter");

sched::TraceOut Worker::traced(Departure departure) {
  switch (departure) {
    case Departure::kPut:
      return sched::TraceOut::kPreempted;
    case Departure::kYield:
      return sched::TraceOut::kYielded;
    case Departure::kHalt:
      return sched::TraceOut::kHalted;
    case Departure::kStop:
      return sched::TraceOut::kStopped;
  }
  return sched::TraceOut::kPreempted;
}

// One vCPU's stay on this worker, from its choice, when it began to run as the scheduler sees it, to its
// departure: when that was.
Nanos Worker::host(VcpuLease vcpu, Nanos now) {
  const Nanos came = now;
  trace_.came(*vcpu, came);
  pulse_.hosts(vcpu->id, came);
  stolen_->came(came);
  now = monotonic_now();  // until here: switching, not the guest's
  auto* const running = context_.vms[index_of(vcpu->vm)].vcpus_running;
  if (running != nullptr) running->fetch_add(1, std::memory_order_relaxed);
  tell_stolen(*vcpu);
  const Departure departure = stay(*vcpu, now);
  if (running != nullptr) running->fetch_sub(1, std::memory_order_relaxed);
  const Nanos left = now;
  pulse_.leaves(left);
  trace_.left(*vcpu, left, traced(departure));
  const bool in_kernel = is_in_kernel(*vcpu);
  const bool deaf = vcpu->halted_deaf || vcpu->waiting_for_sipi;
  if (vcpu->steal) vcpu->steal->leaves();
  const Vcpu& left_behind = *vcpu;
  const sched::VcpuId id = vcpu->id;
  if (departure == Departure::kStop) {
    alarms_.keep(vcpu->alarm, sched::kForever);
  } else {
    keep_alarm(*vcpu);
  }
  vcpu.release();
  // From here on another worker may hold it; what any thread may ask may still be asked.
  switch (departure) {
    case Departure::kPut:
    case Departure::kYield:
      context_.scheduler.put(id_, left, in_kernel);
      break;
    case Departure::kStop:
      context_.scheduler.stop(id_, left);
      break;
    case Departure::kHalt:
      context_.scheduler.halt(id_, left);
      // The halting side of the protocol in sched/base/status.h: state first, then one more look.
      if (deaf ? left_behind.lapic.has_event() : left_behind.has_deliverable())
        context_.notifier.interrupt_posted(id);
      break;
  }
  return left;
}

// `now`: when it came; then, when it left. Read twice an exit, and once an entry that injects: the tenth of a
// microsecond that the others take counts as the guest's.
Worker::Departure Worker::stay(Vcpu& vcpu, Nanos& now) {
  const RunningVm& vm = context_.vms[index_of(vcpu.vm)];
  for (bool has_run = false;;) {
    if (vm.vm->ended()) return Departure::kStop;
    if (turn_over(vcpu, now, has_run)) return Departure::kPut;

    context_.scheduler.interrupts_seen(vcpu.id);
    const uint64_t injections = vcpu.account.injections;
    const Entry entry = prepare_entry(vcpu, now);
    if (std::exchange(vcpu.was_reset, false)) context_.scheduler.reset(vcpu.id);
    keep_alarm(vcpu);
    if (entry == Entry::kAsleep) return Departure::kHalt;
    pulse_.beat();
    kicks_.arm_alarm(next_look());
    const bool injects = vcpu.account.injections != injections;
    const Nanos entered = injects ? monotonic_now() : now;
    vcpu.account.entry += entered - now;
    if (injects) trace_.injected(vcpu, entered);
    trace_.entered(vcpu, entered);
    tell_turn_end(vm, vcpu, now);
    const int error = kicks_.run(vcpu.kvm);
    const Nanos exited = monotonic_now();
    vcpu.account.guest += exited - entered;
    trace_.marks(vcpu, entered, exited);
    note_cr8(vcpu);
    burn_handicap(exited - entered, vm.handicap_percent);
    has_run = error != Kicks::kNotEntered;
    const bool kicked = !has_run || error == EINTR || error == EAGAIN;
    if (has_run) ++(kicked ? vcpu.account.kick_count : vcpu.account.exit_count);
    if (fails_for_good(vcpu, error, exited)) {
      vm.board->fail(vcpu, why_not_entered(vcpu, error));
      return Departure::kStop;
    }
    if (kicked) trace_.kicked_out(vcpu, exited, by_timer(exited));
    const Next next = kicked ? Next::kEnter : handle_exit(vcpu, vcpu.kvm.area(), *vm.board, exited);
    if (!kicked) trace_.exited(vcpu, exited, next);
    now = monotonic_now();
    vcpu.account.exits += now - exited;
    const bool may_leave = kicked || next != Next::kEnter;
    const Nanos stretch = exited - entered;
    if (may_leave || stretch >= StolenTime::kLongStretch) discount_stolen(vcpu, now, stretch);
    if (const auto departure = after_exit(vcpu, next, now)) return *departure;
  }
}

// `error`: what KVM_RUN came back with.
bool Worker::fails_for_good(Vcpu& vcpu, int error, Nanos now) const {
  if (error == 0) vcpu.refusals.exited();
  if (error == 0 || error == Kicks::kNotEntered) return false;
  const bool interrupted = error == EINTR || error == EAGAIN;
  return !interrupted || vcpu.refusals.interrupted(now, kicks_.is_asked());
}

bool Worker::is_in_kernel(const Vcpu& vcpu) const {
  return needs_cpl(context_.scheduler.policy(vcpu.vm).features) && vcpu.kvm.cpl() == 0;
}

// What the host took while the vCPU was on is not its doing. Before the scheduler charges for it.
void Worker::discount_stolen(Vcpu& vcpu, Nanos now, Nanos stretch) {
  if (!stolen_->worth_asking(now, stretch)) return;
  const Nanos lost = stolen_->take(now, use_.cpu());
  if (lost == Nanos{}) return;
  vcpu.account.stolen += lost;
  tell_stolen(vcpu);
  trace_.stolen(vcpu, now, lost);
  context_.scheduler.discount_stolen(id_, lost);
}

// Nothing: it stays.
std::optional<Worker::Departure> Worker::after_exit(Vcpu& vcpu, Next next, Nanos now) {
  switch (next) {
    case Next::kEnter:
      return std::nullopt;
    case Next::kHalt:
      if (vcpu.has_reason_to_wake()) return std::nullopt;  // the next entry takes it
      return Departure::kHalt;
    case Next::kSpin:
      count_site(vcpu, vcpu.spun_at);
      trace_.spins(vcpu, now, vcpu.wait);
      if (!context_.scheduler.spin(id_, now, is_in_kernel(vcpu), vcpu.wait)) return std::nullopt;
      return Departure::kYield;
    case Next::kSent:
      if (!context_.scheduler.sent(id_, now)) return std::nullopt;
      return Departure::kYield;
    case Next::kStopVcpu:
    case Next::kStopVm:
      return Departure::kStop;
  }
  return std::nullopt;
}

// Looks at what came in since the last look. True: the vCPU's turn is over, or the worker is wanted
// elsewhere. has_run: in this stay and since the last look; a sample of where it stood before is worth
// nothing.
bool Worker::turn_over(Vcpu& vcpu, Nanos now, bool has_run) {
  if (context_.rotation.due(now)) {
    // With a tick: should a timer's signal ever be lost (ThreadSanitizer keeps one pending signal of a
    // number), no vCPU is left running for good.
    for (const auto& worker : context_.workers) worker->kick(kMove | kTick);
  }
  const uint32_t reasons = take_reasons();
  if ((reasons & (kPause | kStop)) != 0) {
    kicks_.put_back(reasons & (kPause | kStop));  // for loop()
    return true;
  }
  const bool tick = kicks_.take_fired() && now >= kicks_.tick_at();
  post_due(now, &vcpu);
  if (samples_.is_due(now, kicks_.tick_at()) && sampled(vcpu, now, has_run)) {
    count_site(vcpu, vcpu.spun_at);
    trace_.spins(vcpu, now, sched::Wait::kUnknown);
    if (context_.scheduler.spin(id_, now, is_in_kernel(vcpu))) return true;
  }
  if (!tick && (reasons & kTick) == 0) return false;
  if (context_.scheduler.tick(id_, now)) return false;
  count_site(vcpu, vcpu.taken_off_at);
  return true;
}

bool Worker::sampled(const Vcpu& vcpu, Nanos now, bool has_run) {
  if (!has_run) {
    samples_.missed(now);
    return false;
  }
  const bool found = in_pause_loop(vcpu, context_.vms[index_of(vcpu.vm)].vm->memory());
  samples_.looked(now, found);
  return found;
}

// A turn that begins to end while the guest runs on is known at its next entry.
void Worker::tell_turn_end(const RunningVm& vm, const Vcpu& vcpu, Nanos now) const {
  if (!context_.scheduler.policy(vcpu.vm).features.tell_turn_end || vm.pages.empty()) return;
  const Nanos end = kicks_.tick_at();
  const Nanos left = std::max(Nanos{}, end - now);
  const auto ticks = static_cast<double>(left.count()) * static_cast<double>(vm.vm->tsc_khz()) / 1e6;
  const bool ends = end != sched::kForever;
  sched::GuestPage::store(vm.pages[index_of(vcpu.index)].turn_end,
                          ends ? vcpu.clock(now).tsc + static_cast<uint64_t>(ticks) : ~uint64_t{0});
}

// Runnable without a worker, and on a worker whose CPU the host had given to others.
void Worker::tell_stolen(Vcpu& vcpu) const {
  if (!vcpu.steal || !vcpu.steal->enabled()) return;
  const Nanos by_the_host = vcpu.account.stolen;
  vcpu.steal->runs(context_.scheduler.waited(vcpu.id) + by_the_host);
}

// Before the vCPU enters the guest, or its lease goes: alarms.h.
void Worker::keep_alarm(Vcpu& vcpu) {
  alarms_.keep(vcpu.alarm, vcpu.lapic.timer_deadline().value_or(sched::kForever));
}

}  // namespace vmm
