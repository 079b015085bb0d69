#include "vmm/run/host_thread.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <cstring>
#include <future>
#include <system_error>

#include "vmm/run/entry.h"
#include "vmm/run/exit.h"
#include "vmm/run/futex.h"
#include "vmm/run/look.h"
#include "vmm/run/retry.h"
#include "vmm/sandbox/sandbox.h"

namespace vmm {
namespace {

thread_local const HostThread* this_host_thread = nullptr;

}  // namespace

HostStates host_states(const HostTimes& t) {
  const Nanos off_cpu = std::max(Nanos{}, t.alive - t.ran);
  const Nanos waiting = std::min(t.waited + t.parked, off_cpu);
  const Nanos rest = off_cpu - waiting;
  HostStates states;
  states.times.halted = t.halted ? std::min(rest, *t.halted) : rest;
  states.stolen = rest - states.times.halted;
  states.times.waiting = waiting;
  states.times.running = t.alive - waiting - states.times.halted;
  states.times.stopped = t.dead;
  return states;
}

void HandlingCost::exit_begins() {
  measuring_ = ++count_ % kEvery == 0;
  if (!measuring_) return;
  ++measured_;
  last_ = thread_cpu_now();
}

void HandlingCost::entry_begins() {
  if (!measuring_) return;
  const Nanos now = thread_cpu_now();
  exits_ += now - last_;
  last_ = now;
}

void HandlingCost::guest_begins() {
  if (!measuring_) return;
  entries_ += thread_cpu_now() - last_;
  measuring_ = false;
}

Nanos HandlingCost::scaled(Nanos measured) const {
  if (measured_ == 0) return {};
  return Nanos(static_cast<int64_t>(static_cast<double>(measured.count()) * static_cast<double>(count_) /
                                    static_cast<double>(measured_)));
}

Result<std::unique_ptr<HostThread>> HostThread::start(const RunningVm& vm, Vcpu& vcpu, const HostMode& mode,
                                                      PauseBarrier& barrier, Trouble& trouble,
                                                      std::span<const int> cpus, TraceRecorder* recorder) {
  auto host = std::unique_ptr<HostThread>(new HostThread(vm, vcpu, mode, barrier, trouble, recorder));
  std::promise<Result<void>> ready;
  auto set_up = ready.get_future();
  try {
    host->thread_ = std::thread([&self = *host, cpus, ready = std::move(ready)]() mutable {
      Result<void> result = self.set_up(cpus);
      const bool good = result.has_value();
      ready.set_value(std::move(result));
      if (good) self.loop();
      self.pulse_.ends(monotonic_now());
      TraceRecorder::detach();
      self.kicks_.tear_down();  // on the thread that it signals
    });
  } catch (const std::system_error& error) {
    return Failure(
        host_error("pthread_create", error.code().value(), "host policies need a thread for each vCPU")
            .value()
            .in(vcpu.vm, vcpu.index));
  }
  if (auto result = set_up.get(); !result) return Failure(result.error().in(vcpu.vm, vcpu.index));
  return host;
}

void HostThread::join() {
  if (thread_.joinable()) thread_.join();
}

Result<void> HostThread::set_up(std::span<const int> cpus) {
  this_host_thread = this;
  if (recorder_ != nullptr) recorder_->attach(index_of(vcpu_.id));
  thread_id_ = os_thread_id();
  const std::string name = fmt::format("kvmux-v{}.{}", index_of(vcpu_.vm), index_of(vcpu_.index));
  if (auto settled = settle_thread(name, cpus); !settled) return settled;
  auto use = OwnUse::open();
  if (!use) return Failure(use.error());
  own_use_ = std::move(*use);
  if (auto attentive = kicks_.set_up(trouble_); !attentive) return attentive;
  return sandbox::enter_sandbox(sandbox::ThreadKind::kHostThread);
}

void HostThread::kick(uint32_t reasons, bool insist) {
  const auto wake = [this] {
    const int error = futex_wake(kicks_.reasons());
    if (error != 0) trouble_.report(host_error("futex", error, "waking a vCPU's thread").value());
  };
  kicks_.ask(reasons, this_host_thread == this, wake, insist);
}

std::optional<uint64_t> HostThread::cpu_time() const {
  clockid_t clock{};
  timespec used{};
  const bool known =
      ::pthread_getcpuclockid(const_cast<std::thread&>(thread_).native_handle(), &clock) == 0 &&
      ::clock_gettime(clock, &used) == 0;
  if (!known) return std::nullopt;
  return static_cast<uint64_t>(used.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(used.tv_nsec);
}

Engine::VcpuUse HostThread::counted() const {
  Engine::VcpuUse use{copy_of(stats_), copy_of(vcpu_.account)};
  use.sched.times.running = Nanos(static_cast<int64_t>(cpu_time().value_or(0)));
  return use;
}

void HostThread::loop() {
  const VcpuLease lease(vcpu_);
  started_ = moment_now();
  comes_on(started_.at);
  for (;;) {
    const uint32_t reasons = kicks_.take();
    if ((reasons & kStop) != 0) return;
    if ((reasons & kPause) != 0) {
      pass_barrier();
    } else if (ended_ || vm_.vm->ended()) {
      end_vcpu();
      pulse_.sleeps(ended_->at);
      sleep_until(sched::kForever);
    } else {
      turn();
    }
  }
}

// For those who look on: the vCPU is the host's to run.
void HostThread::comes_on(Nanos now) {
  pulse_.hosts(vcpu_.id, now);
  history_.note(sched::RunState::kRunning, now, sched::kNoWorker);
}

WorkerView HostThread::view(Nanos now) const { return view_of(pulse_, kicks_.phase(), thread_id_, now); }

// One entry into the guest and the handling of its exit, or one halt.
void HostThread::turn() {
  handling_.entry_begins();
  kicks_.take_fired();  // perhaps early: it is armed again below
  if (!ready_to_enter()) return halt();
  handling_.guest_begins();
  pulse_.beat();
  const Nanos entered = trace_.is_on() ? monotonic_now() : Nanos{};
  trace_.entered(vcpu_, entered);
  const int error = kicks_.run(vcpu_.kvm);
  if (trace_.is_on()) trace_.marks(vcpu_, entered, monotonic_now());
  note_cr8(vcpu_);
  handling_.exit_begins();
  if (error == Kicks::kNotEntered) return;
  const bool interrupted = error == EINTR || error == EAGAIN;
  if (interrupted && !vcpu_.refusals.interrupted(monotonic_now(), kicks_.is_asked())) {
    ++vcpu_.account.kick_count;
    if (trace_.is_on()) trace_.kicked_out(vcpu_, monotonic_now(), kicks_.has_fired());
    return;
  }
  ++vcpu_.account.exit_count;
  vcpu_.refusals.exited();
  if (error != 0) {
    vm_.board->fail(vcpu_, why_not_entered(vcpu_, error));
    return end_vcpu();
  }
  const Nanos exited = monotonic_now();
  const Next next = handle_exit(vcpu_, vcpu_.kvm.area(), *vm_.board, exited);
  trace_.exited(vcpu_, exited, next);
  after_exit(next);
}

// False: the vCPU halts, or goes on halting. A LAPIC inside KVM takes care of itself.
bool HostThread::ready_to_enter() {
  if (mode_.lapic == LapicPlace::kKernel) {
    take_extint();
    return true;
  }
  const uint64_t injections = vcpu_.account.injections;
  if (prepare_entry(vcpu_, monotonic_now()) == Entry::kAsleep) return false;
  if (trace_.is_on() && vcpu_.account.injections != injections) trace_.injected(vcpu_, monotonic_now());
  // A vCPU inside the guest does not look at its LAPIC's clock.
  kicks_.arm_alarm(vcpu_.lapic.timer_deadline().value_or(sched::kForever));
  return true;
}

// The 8259s are ours even then: KVM says when their interrupt can be taken.
void HostThread::take_extint() {
  if (vcpu_.extint == nullptr) return;
  if (vcpu_.kvm.can_queue_extint() && vcpu_.extint->requested()) {
    const int error = vcpu_.kvm.queue_extint(vcpu_.extint->acknowledge());
    if (error != 0) vm_.board->fail(vcpu_, fmt::format("KVM_INTERRUPT: {}", ::strerror(error)));
  }
  vcpu_.kvm.request_window(vcpu_.extint->requested());
}

void HostThread::after_exit(Next next) {
  switch (next) {
    case Next::kEnter:
    case Next::kSent:
    case Next::kHalt:  // the next turn sees whether there is something to take
      return;
    case Next::kSpin:
      ++stats_.spin_exits;
      if (trace_.is_on()) trace_.spins(vcpu_, monotonic_now(), vcpu_.wait);
      if (mode_.yield_on_spin) ::sched_yield();
      return;
    case Next::kStopVcpu:
    case Next::kStopVm:
      return end_vcpu();
  }
}

void HostThread::halt() {
  const Nanos from = monotonic_now();
  pulse_.sleeps(from);
  history_.note(sched::RunState::kHalted, from, sched::kNoWorker);
  sleep_until(vcpu_.lapic.timer_deadline().value_or(sched::kForever));
  const Nanos until = monotonic_now();
  comes_on(until);
  halted_ += until - from;
  ++stats_.wakeups;
}

void HostThread::sleep_until(Nanos at) {
  kicks_.sleep([&] {
    const int error = futex_wait_while_zero(kicks_.reasons(), at);
    if (error == 0) return;
    trouble_.report(host_error("futex", error, "a vCPU's thread cannot sleep").value());
    ::sched_yield();
  });
}

ThreadUse HostThread::own_use() const {
  const auto use = own_use_.read();
  if (!use) trouble_.report(use.error());
  return use.value_or(ThreadUse{});
}

void HostThread::pass_barrier() {
  const Nanos waited = own_use().waited;
  const Nanos since = monotonic_now();
  parked_since_ = since;
  pulse_.parks(since);
  if (!ended_) history_.note(sched::RunState::kQueued, since, sched::kNoWorker);
  barrier_.pass();
  parked_since_.reset();
  if (ended_) return pulse_.sleeps(monotonic_now());
  comes_on(monotonic_now());
  // Once let go it had to wait for a CPU: that is not the pause barrier's doing.
  parked_ += (monotonic_now() - since) - (own_use().waited - waited);
}

void HostThread::end_vcpu() {
  if (ended_) return;
  ended_ = moment_now();
  history_.note(sched::RunState::kStopped, ended_->at, sched::kNoWorker);
}

// The thread's own: its statistics lag behind while it runs, its clock does not.
HostThread::Moment HostThread::moment_now() const {
  Moment moment{monotonic_now(), own_use()};
  moment.use.ran = thread_cpu_now();
  return moment;
}

Engine::VcpuUse HostThread::use(Nanos now) const {
  const auto now_used = ended_ ? Result<ThreadUse>() : thread_use(thread_id_);
  if (!now_used) trouble_.report(now_used.error());
  const Moment end = ended_.value_or(Moment{now, now_used.value_or(ThreadUse{})});
  HostTimes t;
  t.alive = end.at - started_.at;
  t.dead = now - end.at;
  t.ran = end.use.ran - started_.use.ran;
  t.waited = end.use.waited - started_.use.waited;
  t.parked = parked_ + (parked_since_ && !ended_ ? now - *parked_since_ : Nanos{});
  if (mode_.lapic == LapicPlace::kUserSpace) t.halted = halted_;
  const HostStates states = host_states(t);

  Engine::VcpuUse result{copy_of(stats_), copy_of(vcpu_.account)};
  result.sched.times = states.times;
  result.sched.switches_in = end.use.stretches;
  result.sched.preemptions = end.use.preemptions;
  VcpuAccount& account = result.account;
  account.stolen = states.stolen;
  account.exits = std::min(handling_.exits(), states.times.running);
  account.entry = std::min(handling_.entries(), states.times.running - account.exits);
  account.guest = states.times.running - account.exits - account.entry;
  return result;
}

}  // namespace vmm
