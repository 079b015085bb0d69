#include "sched/sim/model_vcpu.h"

#include <utility>

#include "sched/base/check.h"

namespace sched::sim {

void ModelVcpu::enter(Nanos now) {
  if (stub_ == Stub::kInjected) {
    stub_ = Stub::kHead;
    stub_left_ = timing_.stub;
    program_.handled(index_, now);
  }
  if (base_ == Base::kSpin && window_left_ == Nanos::zero()) start_window();
  watch(now);
}

void ModelVcpu::leave() { port_.spinning.erase(index_); }

void ModelVcpu::run(Nanos elapsed) {
  Nanos& left = layer_left();
  SCHED_DCHECK(elapsed <= left);
  if (left != kForever) left -= elapsed;
}

Nanos ModelVcpu::left() const { return const_cast<ModelVcpu*>(this)->layer_left(); }

// An eighth for one that waits in vain, as in guest/runtime/spin.h.
void ModelVcpu::start_window() {
  constexpr Nanos kPortion{1'000'000};
  if (timing_.window == kForever) {
    window_left_ = action_.one_window ? kPortion : kForever;
    return;
  }
  const bool in_vain = (timing_.told && port_.running == 1) ||
                       (port_.is_told(index_, kTellsPreempted) && program_.waits_in_vain(index_));
  window_left_ = in_vain ? timing_.window / 8 : timing_.window;
}

void ModelVcpu::watch(Nanos now) {
  if (!spinning()) return;
  if (program_.poll(index_, now)) {
    end_wait();
  } else {
    port_.spinning.insert(index_);
  }
}

bool ModelVcpu::look(Nanos now) {
  if (!program_.poll(index_, now)) return false;
  port_.spinning.erase(index_);
  end_wait();
  return true;
}

void ModelVcpu::end_wait() {
  base_ = Base::kReady;
  port_.waits_no_more(index_);
  port_.mark(index_, TraceMark::kWaitOver);
}

std::optional<Exit> ModelVcpu::advance(Nanos now) {
  while (left() == Nanos::zero()) {
    std::optional<Exit> exit;
    switch (top()) {
      case Layer::kStub:
        exit = finish_stub();
        if (!exit) watch(now);
        break;
      case Layer::kWork:
        finish_work(now);
        watch(now);
        break;
      case Layer::kBase:
        exit = finish_base(now);
        break;
    }
    if (exit) return exit;
  }
  return std::nullopt;
}

std::optional<Exit> ModelVcpu::finish_stub() {
  if (stub_ == Stub::kHead) return Exit::kEoi;
  stub_ = Stub::kNone;
  if (!in_work_ && program_.handler_work > Nanos::zero() && program_.handler_wanted(index_)) begin_work();
  if (!std::exchange(wants_window_, false)) return std::nullopt;
  return Exit::kWindow;
}

void ModelVcpu::begin_work() {
  in_work_ = true;
  work_left_ = program_.handler_work * timing_.slowdown;
  program_.handler_begins(index_);
}

// An interrupt that was counted meanwhile left its work to us.
void ModelVcpu::finish_work(Nanos now) {
  in_work_ = false;
  port_.counters[index_].work += program_.handler_work;
  program_.handler_ends(index_, now);
  if (program_.handler_wanted(index_)) begin_work();
}

std::optional<Exit> ModelVcpu::finish_base(Nanos now) {
  switch (base_) {
    case Base::kReady:
      begin_action(now);
      return std::nullopt;
    case Base::kWork:
      port_.counters[index_].work += action_.time;
      base_ = Base::kReady;
      return std::nullopt;
    case Base::kSpin:
      if (action_.one_window) {
        port_.spinning.erase(index_);
        base_ = Base::kReady;
        return std::nullopt;
      }
      wait_ = wait_ == Wait::kUnknown ? Wait::kBegins : Wait::kGoesOn;
      return Exit::kSpin;  // the next window starts at the entry
    case Base::kSend:
      return Exit::kIpi;
    case Base::kRing:
      base_ = Base::kReady;
      return Exit::kSpin;
    case Base::kArm:
      base_ = Base::kReady;
      return Exit::kArm;
    case Base::kIdle:
      base_ = Base::kReady;
      return std::nullopt;
    case Base::kTrap:
      if (program_.sleeps(index_)) {
        base_ = Base::kHalted;
        return Exit::kHalt;
      }
      base_ = Base::kBack;
      base_left_ = timing_.trap;
      if (std::exchange(wants_window_, false)) return Exit::kWindow;
      return std::nullopt;
    case Base::kHalted:
      return Exit::kHalt;
    case Base::kBack:
      begin_halt();
      return std::nullopt;
  }
  return std::nullopt;
}

// Straight to the next action if there is something in the inbox.
void ModelVcpu::begin_halt() {
  const bool sleeps = program_.sleeps(index_);
  base_ = sleeps ? Base::kTrap : Base::kReady;
  base_left_ = sleeps ? timing_.trap : Nanos::zero();
}

void ModelVcpu::begin_action(Nanos now) {
  action_ = program_.next(index_, now);
  switch (action_.kind) {
    case Action::Kind::kWork:
      base_ = Base::kWork;
      base_left_ = action_.time * timing_.slowdown;
      return;
    case Action::Kind::kSpin:
      base_ = Base::kSpin;
      if (action_.new_wait) {
        wait_ = Wait::kUnknown;
        start_window();
        port_.mark(index_, TraceMark::kWaits);
      }
      watch(now);
      return;
    case Action::Kind::kSend:
      base_ = Base::kSend;
      return;
    case Action::Kind::kHalt:
      begin_halt();
      return;
    case Action::Kind::kRing:
      base_ = Base::kRing;
      wait_ = action_.wait;
      return;
    case Action::Kind::kArm:
      base_ = Base::kArm;
      return;
    case Action::Kind::kIdle:
      base_ = Base::kIdle;
      base_left_ = action_.time * timing_.slowdown;
      return;
  }
}

uint32_t ModelVcpu::take_receiver() {
  SCHED_DCHECK(base_ == Base::kSend);
  base_ = Base::kReady;
  return action_.receiver;
}

void ModelVcpu::end_of_interrupt() {
  SCHED_DCHECK(stub_ == Stub::kHead && in_service_);
  in_service_ = false;
  stub_ = Stub::kTail;
  stub_left_ = timing_.stub + timing_.stub_back;
}

void ModelVcpu::wake() {
  if (base_ != Base::kHalted) return;
  ++port_.counters[index_].wakeups;
  base_ = Base::kBack;
  base_left_ = timing_.trap;
}

bool ModelVcpu::inject() {
  wants_window_ = false;
  if (!requested_ || in_service_) return false;
  const bool interrupts_off = stub_ != Stub::kNone || (top() == Layer::kBase && base_ == Base::kTrap);
  if (interrupts_off) {
    wants_window_ = true;
    return false;
  }
  requested_ = false;
  in_service_ = true;
  stub_ = Stub::kInjected;
  stub_left_ = {};
  return true;
}

}  // namespace sched::sim
