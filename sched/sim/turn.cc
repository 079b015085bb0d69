// A worker's turn: pick → switch → inject → guest → exit → handle → again. Each function ends with the
// worker's next event being set.
#include <algorithm>

#include "sched/base/check.h"
#include "sched/sim/model_vm.h"
#include "sched/sim/simulator.h"

namespace sched::sim {
namespace {

// A thread takes its vCPU along: what KVM waits for when another thread runs it is not waited for.
constexpr Nanos kThreadMove{10'000};

TraceExit traced(Exit exit) {
  switch (exit) {
    case Exit::kSpin:
      return TraceExit::kSpin;
    case Exit::kIpi:
      return TraceExit::kIpi;
    case Exit::kArm:
      return TraceExit::kLapic;
    case Exit::kEoi:
      return TraceExit::kEoi;
    case Exit::kHalt:
      return TraceExit::kHalt;
    case Exit::kWindow:
      return TraceExit::kWindow;
    case Exit::kKick:
      return TraceExit::kKick;
    case Exit::kTimer:
      return TraceExit::kTimer;
  }
  return TraceExit::kOther;
}

}  // namespace

// To another vCPU than the last.
Nanos Simulator::switch_cost(bool moves) const {
  const Nanos thread_move = moves ? std::min(costs_.vcpu_move, kThreadMove) : Nanos{};
  if (threads_ != Threads::kWorkers) return costs_.host_switch + thread_move;
  if (carriers_) return costs_.vcpu_switch + costs_.carrier_switch + thread_move;
  return costs_.vcpu_switch + (moves ? costs_.vcpu_move : Nanos{});
}

// Nothing of this worker's runs: chooses who does, or goes to sleep.
void Simulator::dispatch(Worker& worker) {
  worker.tick_wanted = false;
  worker.irq_posted = false;
  worker.seat = nullptr;
  const auto turn = scheduler_.pick(worker.id, now_);
  if (!turn) {
    worker.phase = worker.tick_wanted ? Phase::kWaking : Phase::kIdle;  // no kick is lost
    worker.end = worker.tick_wanted ? now_ : kForever;
    schedule(worker);
    return;
  }
  Seat& seat = seats_[seat_of_[index_of(turn->vcpu)]];
  if (&seat != worker.last) {
    const bool moves = seat.worker != index_of(worker.id) && seat.worker != kNowhere;
    worker.due_migration = switch_cost(moves);
  }
  seat.worker = index_of(worker.id);
  seat.cpu.wake();
  ++seat.vm.running;
  worker.seat = worker.last = &seat;
  if (worker.noise_at <= now_ || worker.noise_at == kForever) {  // idle meanwhile, or the first time
    const bool quiet = costs_.noise_interval == Nanos::zero();
    worker.noise_at = quiet ? kForever : now_ + draw(worker, costs_.noise_interval);
  }
  trace(worker, TraceKind::kIn);
  take_turn(worker, true);
}

// A vCPU is on the worker, the VMM is about to enter it: is its turn over, and is there something to inject?
void Simulator::take_turn(Worker& worker, bool fresh) {
  if (!fresh && turn_over(worker)) {
    put(worker, TraceOut::kPreempted);
    return;
  }
  worker.irq_posted = false;
  Seat& seat = *worker.seat;
  scheduler_.interrupts_seen(seat.id);
  if (seat.cpu.inject()) {
    worker.due_injection = costs_.inject;
    trace(worker, TraceKind::kInject, 0, static_cast<uint8_t>(seat.vm.program->vector));
  }
  const Nanos kicks = costs_.kick_send * kicks_sent_;
  schedule_end(worker, Phase::kEntering, worker.due_migration + worker.due_injection + seat.entry + kicks);
}

bool Simulator::turn_over(Worker& worker) {
  const bool timer = worker.tick_at <= now_;
  if (sampled_spin(worker)) return true;
  if (!timer && !worker.tick_wanted) return false;
  worker.tick_wanted = false;
  return !scheduler_.tick(worker.id, now_);
}

// The virtual TSC counts nanoseconds; kForever is what no TSC reaches.
void Simulator::tell_turn_end(const Worker& worker) {
  const ModelVm& vm = worker.seat->vm;
  const uint32_t vcpu = worker.seat->cpu.index();
  if (!vm.is_told(vcpu, kTellsTurnEnd)) return;
  const bool ends = worker.tick_at != kForever;
  GuestPage::store(vm.pages[vcpu].turn_end, ends ? static_cast<uint64_t>(worker.tick_at.count()) : ~uint64_t{0});
}

// A look, if it is time for one.
bool Simulator::sampled_spin(Worker& worker) {
  if (!worker.samples.is_due(now_, worker.tick_at)) return false;
  const bool found = worker.seat->cpu.spinning();
  worker.samples.looked(now_, found);
  return found && spin(worker, Wait::kUnknown);
}

void Simulator::enter(Worker& worker) {
  if (worker.tick_wanted || worker.irq_posted || signal_at(worker) <= now_) {
    worker.seat->entry = costs_.handle;  // KVM_RUN comes back at once
    take_turn(worker, false);
    return;
  }
  worker.phase = Phase::kGuest;
  worker.kick_at = kForever;
  worker.entered = now_;
  trace(worker, TraceKind::kEnter);
  tell_turn_end(worker);
  worker.seat->cpu.enter(now_);
  go_on(worker);
}

// The event of a worker in the guest: a signal, or the guest itself.
void Simulator::in_guest(Worker& worker) {
  if (worker.kick_at <= now_) {
    leave(worker, Exit::kKick);
  } else if (worker.seat->cpu.left() > Nanos::zero()) {
    leave(worker, Exit::kTimer);
  } else {
    go_on(worker);
  }
}

void Simulator::go_on(Worker& worker) {
  if (const auto exit = worker.seat->cpu.advance(now_)) {
    leave(worker, *exit);
  } else {
    schedule(worker);
  }
}

// The host switches between its threads inside the kernel, as far as nothing is to be injected.
bool Simulator::host_switches(const Worker& worker, Exit exit) const {
  if (threads_ == Threads::kWorkers) return false;
  return exit == Exit::kTimer || (exit == Exit::kKick && !worker.irq_posted);
}

Nanos Simulator::round_trip(const Worker& worker, Exit exit) const {
  const bool kernel = worker.seat->cpu.in_kernel();
  switch (exit) {
    case Exit::kKick:
    case Exit::kTimer:
      return kernel ? costs_.preempt_kernel : costs_.preempt_user;
    case Exit::kEoi:
    case Exit::kHalt:
    case Exit::kWindow:
      return costs_.exit_kernel;
    case Exit::kSpin:
    case Exit::kIpi:
    case Exit::kArm:
      break;
  }
  return kernel ? costs_.exit_kernel : costs_.exit_user;
}

void Simulator::leave(Worker& worker, Exit exit) {
  Seat& seat = *worker.seat;
  trace(worker, TraceKind::kExit, static_cast<uint8_t>(traced(exit)));
  seat.cpu.leave();
  worker.exit = exit;
  worker.kick_at = kForever;
  Nanos length{};
  if (host_switches(worker, exit)) {
    seat.entry = {};
  } else {
    const Nanos round = round_trip(worker, exit);
    seat.entry = round / 2;
    length = round - round / 2 + costs_.handle;
    const bool by_signal = exit == Exit::kKick || exit == Exit::kTimer;
    ++(by_signal ? seat.kicks : seat.exits);
  }
  if (const int64_t lost = seat.vm.handicap_percent; lost > 0) {
    length += (now_ - worker.entered) * lost / (100 - lost);
  }
  schedule_end(worker, Phase::kExiting, length);
}

void Simulator::handle(Worker& worker) {
  Seat& seat = *worker.seat;
  switch (worker.exit) {
    case Exit::kSpin:
      if (spin(worker, seat.cpu.wait())) {
        put(worker, TraceOut::kYielded);
        return;
      }
      break;
    case Exit::kIpi:
      send_ipi(worker);
      if (scheduler_.sent(worker.id, now_)) {
        put(worker, TraceOut::kYielded);
        return;
      }
      break;
    case Exit::kArm:
      seat.cpu.post();  // it is due by the next entry, which takes it
      break;
    case Exit::kEoi:
      trace(worker, TraceKind::kEoi, 0, static_cast<uint8_t>(seat.vm.program->vector));
      end_of_interrupt(seat);
      break;
    case Exit::kHalt:
      if (!seat.cpu.has_interrupt()) {
        halt(worker);
        return;
      }
      seat.cpu.wake();
      break;
    case Exit::kWindow:
    case Exit::kKick:
    case Exit::kTimer:
      break;
  }
  take_turn(worker, false);
}

// True: the yielder leaves the worker.
bool Simulator::spin(Worker& worker, Wait wait) {
  trace(worker, TraceKind::kSpin, static_cast<uint8_t>(wait));
  if (scheduler_.spin(worker.id, now_, worker.seat->cpu.in_kernel(), wait)) return true;
  if (threads_ != Threads::kHostYield) return false;
  // sched_yield(): the caller's request is forfeited, and whoever is next runs. spin() has charged it.
  return scheduler_.inspect(worker.id, [](RunQueue& queue) {
    static_cast<EevdfQueue&>(queue).forfeit();
    return queue.waiting() > 0;
  });
}

void Simulator::put(Worker& worker, TraceOut why) {
  trace(worker, TraceKind::kOut, static_cast<uint8_t>(why));
  --worker.seat->vm.running;
  scheduler_.put(worker.id, now_, worker.seat->cpu.in_kernel());
  dispatch(worker);
}

// Nothing can be posted between the last look and this in virtual time; the real loop must look again.
void Simulator::halt(Worker& worker) {
  trace(worker, TraceKind::kOut, static_cast<uint8_t>(TraceOut::kHalted));
  --worker.seat->vm.running;
  scheduler_.halt(worker.id, now_);
  dispatch(worker);
}

void Simulator::send_ipi(Worker& worker) {
  Seat& seat = *worker.seat;
  ModelVm& vm = seat.vm;
  const uint32_t me = seat.cpu.index();
  const uint32_t receiver = seat.cpu.take_receiver();
  const bool to_all = receiver == kAllOthers;
  vm.receivers.clear();
  for (uint32_t i = to_all ? 0 : receiver; i < (to_all ? vm.vcpus : receiver + 1); ++i) {
    if (i != me) vm.receivers.insert(i);
  }
  vm.counters[me].ipis_sent += to_all ? vm.vcpus - 1 : 1;
  if (threads_ == Threads::kWorkers) {  // the host knows of no IPIs
    const IpiSend send{
        .sender = me, .vector = vm.program->vector, .shorthand = to_all, .receivers = vm.receivers};
    scheduler_.ipi_sent(vm.id, send, now_);
  }
  vm.receivers.for_each([&](uint32_t i) {
    trace(worker, TraceKind::kIpiSend, 0, static_cast<uint8_t>(vm.program->vector), vm.first + i);
    post(seats_[vm.first + i]);
  });
}

void Simulator::post(Seat& receiver) {
  receiver.cpu.post();
  if (scheduler_.interrupt_posted(receiver.id, now_) == Scheduler::Posted::kRunning) {
    send_kick(workers_[receiver.worker], true);
  }
}

void Simulator::end_of_interrupt(Seat& seat) {
  seat.cpu.end_of_interrupt();
  scheduler_.eoi(seat.id, seat.vm.program->vector, now_);
}

}  // namespace sched::sim
