// How a thread that runs vCPUs is made to look up from what it does: a word of reasons, a phase, and a signal
// that ends KVM_RUN.
//
// The asker writes the reason, then reads the phase; the owner writes its phase, then reads the reasons; all
// four sequentially consistent, so that one of them sees the other:
//   asker:   reasons |= why;    phase == guest → signal, == sleeping → wake it up, == busy → nothing
//   owner:   phase = guest;     reasons == 0 → KVM_RUN   (a signal before KVM_RUN makes it return at once)
//            phase = sleeping;  reasons == 0 → sleep     (a wake-up before the sleep ends it)
// A busy owner takes the reasons before its next entry. The signal alone would not do: it could come between
// the last look and KVM_RUN. Hence the order in run(): announce the vCPU to the signal handler, clear its
// exit request, look at reasons and timer, enter.
//
// The timer's signal is seen in the same way, with its handler in the asker's place; both are on one thread:
//   handler: fired = true;      then request the exit of the announced vCPU
//   owner:   announce; clear the exit request;      fired == false → KVM_RUN
// A signal before the look at `fired` is seen by it; one after it finds the vCPU announced, whose KVM_RUN
// then returns at once, or interrupts KVM_RUN itself. So a deadline for which the timer is armed is never
// slept through inside the guest. That the timer is armed for every deadline: arming.h and alarms.h. What the
// owner sleeps on instead of a guest takes the earliest deadline as its limit.
//
// Who asks for the same again need not signal again: the first signal is on its way. It may have failed
// (PreemptTimer::kick reports that), hence `insist`.
//
// The owner may be one thread after another (leave(), come(); carrier.h): between the two it neither runs nor
// sleeps, and the second thread sees all that the first did. An asker that signals the thread it has left has
// written its reason before it looked at the phase, so that the owner's next entry or sleep, wherever that
// is, sees it.
//
// An interrupt for a halted vCPU is never lost on a thread that sleeps with it: its poster changes the LAPIC
// before it asks, and the owner takes the reasons before it looks at the LAPIC, so that what the look missed
// comes with a reason that forbids the sleep.
#pragma once

#include <atomic>
#include <cerrno>
#include <memory>
#include <utility>

#include "vmm/run/preempt_timer.h"

namespace vmm {

// Timer: PreemptTimer; the race test raises its signals by hand.
template <class Timer>
class BasicKicks {
 public:
  enum class Phase : uint32_t { kBusy, kGuest, kSleeping };

  explicit BasicKicks(uint32_t reasons) : reasons_(reasons) {}

  // Owner thread, before anybody asks; and when nobody will ask again. `how`: Timer::create()'s.
  template <class... How>
  [[nodiscard]] Result<void> set_up(Trouble& trouble, How... how) {
    auto timer = Timer::create(trouble, how...);
    if (!timer) return Failure(timer.error());
    timer_ = std::move(*timer);
    return {};
  }
  void tear_down() { timer_.reset(); }

  // Any thread. What is asked for already, or by the owner itself, waits for the owner's next look.
  // `wake` is called if the owner may be asleep. `insist`: signal even if it was asked for that before.
  template <class Wake>
  void ask(uint32_t why, bool by_owner, Wake wake, bool insist = false) {
    const uint32_t before = reasons_.fetch_or(why, std::memory_order_seq_cst);
    if (((before & why) == why && !insist) || by_owner) return;
    switch (phase_.load(std::memory_order_seq_cst)) {
      case Phase::kBusy:
        return;
      case Phase::kGuest:
        return timer_->kick();
      case Phase::kSleeping:
        return wake();
    }
  }
  // A signal at this instant at the latest, which ends KVM_RUN and is to be taken by take_fired(). One call
  // at a time.
  void arm_tick(Nanos at, Nanos now) { timer_->arm_tick(at, now); }
  Nanos tick_at() const { return timer_->tick_at(); }

  // Any thread: a hint of what the owner does.
  Phase phase() const { return phase_.load(std::memory_order_relaxed); }

  // Owner thread.
  uint32_t take() {
    if (reasons_.load(std::memory_order_seq_cst) == 0) return 0;  // most often, and cheaper than an exchange
    return reasons_.exchange(0, std::memory_order_seq_cst);
  }
  void put_back(uint32_t reasons) { reasons_.fetch_or(reasons, std::memory_order_seq_cst); }
  // True: the timer has fired, early perhaps. Then arm_alarm() must follow before run().
  bool take_fired() { return timer_->take_fired(); }
  bool has_fired() const { return timer_->has_fired(); }
  // There is something to look at.
  bool is_asked() const { return reasons_.load(std::memory_order_relaxed) != 0 || has_fired(); }
  // Before each run(): the earliest LAPIC deadline.
  void arm_alarm(Nanos at) { timer_->arm_alarm(at); }

  // Owner thread: KVM_RUN, unless there is something to look at: then kNotEntered. 0, EINTR or another errno
  // of KVM_RUN.
  int run(typename Timer::Target& vcpu) {
    timer_->announce(&vcpu);
    vcpu.clear_exit_request();
    phase_.store(Phase::kGuest, std::memory_order_seq_cst);
    int error = kNotEntered;
    if (reasons_.load(std::memory_order_seq_cst) == 0 && !timer_->has_fired()) error = vcpu.run();
    phase_.store(Phase::kBusy, std::memory_order_relaxed);  // late is harmless: a signal too many
    timer_->announce(nullptr);
    return error;
  }
  // Owner thread: calls sleep_on(), unless there is something to look at. The sleep must end by the asker's
  // `wake`, one from before it began included.
  template <class Sleep>
  void sleep(Sleep sleep_on) {
    phase_.store(Phase::kSleeping, std::memory_order_seq_cst);
    if (reasons_.load(std::memory_order_seq_cst) == 0) sleep_on();
    phase_.store(Phase::kBusy, std::memory_order_seq_cst);
  }
  // Owner, from thread to thread: preempt_timer.h.
  void leave() { timer_->leave(); }
  template <class There>
  void come(There* there) {
    timer_->come(there);
  }
  // 0 as long as there is nothing to look at: a futex for owners that have nothing else to sleep on.
  const std::atomic<uint32_t>& reasons() const { return reasons_; }

  static constexpr int kNotEntered = ECANCELED;  // VcpuFd::kOnlyFinished too: the guest did not run

 private:
  std::atomic<uint32_t> reasons_;
  std::atomic<Phase> phase_{Phase::kBusy};
  std::unique_ptr<Timer> timer_;
};

using Kicks = BasicKicks<PreemptTimer>;

}  // namespace vmm
