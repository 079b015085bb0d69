// Construction, the event loop, and time: what passes, for whom it counts, and who hears of it when.
#include "sched/sim/simulator.h"

#include <algorithm>

#include "sched/base/check.h"
#include "sched/sim/model_vm.h"

namespace sched::sim {

Simulator::Simulator(const Config& config)
    : costs_(config.costs),
      threads_(config.threads),
      carriers_(config.carriers),
      sample_cost_(config.sample_spins ? std::max(Nanos{1}, costs_.preempt_user + costs_.handle) : Nanos{}),
      trace_(config.trace),
      scheduler_(config.setup, *this),
      clock_(config.setup.workers) {
  add_vms(config);
  SCHED_CHECK(scheduler_.vcpus() == seats_.size());
  if (threads_ != Threads::kWorkers) shuffle_threads(config.seed);
  for (const auto& vm : vms_) publish_pages(*vm);
  add_workers(config.seed);
  // The model of a host deals vCPUs numbers of its own.
  if (threads_ == Threads::kWorkers) scheduler_.trace_into(trace_);
  for (uint32_t i = 0; i < scheduler_.vcpus(); ++i) scheduler_.start(VcpuId{i}, now_);
  for (Worker& worker : workers_) clock_.set(index_of(worker.id), now_);
}

Simulator::~Simulator() = default;

void Simulator::add_vms(const Config& config) {
  Rng seeds(config.seed);
  seats_.reserve(scheduler_.vcpus());  // workers point at them
  for (const VmModel& model : config.vms) {
    const VmId id{static_cast<uint32_t>(vms_.size())};
    const VcpuId first{static_cast<uint32_t>(seats_.size())};
    ModelVm& vm =
        *vms_.emplace_back(std::make_unique<ModelVm>(*this, id, first, model, config, seeds.next()));
    for (uint32_t i = 0; i < model.vcpus; ++i) {
      seats_.emplace_back(VcpuId{vm.first + i}, vm, ModelVcpu(i, *vm.program, vm, vm.timing));
      seats_.back().entry = costs_.exit_kernel / 2;
      seat_of_.push_back(vm.first + i);
    }
  }
}

// A host knows nothing of guests.
void Simulator::publish_pages(const ModelVm& vm) {
  if (threads_ != Threads::kWorkers) return;
  auto* const first = reinterpret_cast<std::byte*>(vm.pages.get());
  scheduler_.guest_publishes(vm.id, GuestPages(first, sizeof(GuestPage), vm.vcpus));
}

void Simulator::add_workers(uint64_t seed) {
  constexpr uint64_t kNoiseStream = 0x6e6f697365;  // apart from the guests' streams
  Rng seeds(seed ^ kNoiseStream);
  workers_.resize(scheduler_.workers());
  for (uint32_t i = 0; i < scheduler_.workers(); ++i) {
    workers_[i].id = WorkerId{i};
    workers_[i].noise = Rng(seeds.next());
    workers_[i].samples = SampleClock(sample_cost_);
  }
}

// Which threads share a CPU is chance: the host balances their number, and knows nothing of VMs.
std::optional<IrqVector> Simulator::interrupt(VcpuId vcpu) const {
  const Seat& seat = seats_[seat_of_[index_of(vcpu)]];
  if (!seat.cpu.has_interrupt()) return std::nullopt;
  return seat.vm.program->vector;
}

void Simulator::shuffle_threads(uint64_t seed) {
  constexpr uint64_t kPlacementStream = 0x706c616365;  // apart from the guests' streams
  Rng rng(seed ^ kPlacementStream);
  for (uint32_t left = static_cast<uint32_t>(seat_of_.size()); left > 1; --left) {
    std::swap(seat_of_[left - 1], seat_of_[rng.below(left)]);
  }
  for (uint32_t i = 0; i < seat_of_.size(); ++i) seats_[seat_of_[i]].id = VcpuId{i};
}

void Simulator::run_until(Nanos end) {
  while (clock_.time() <= end) {
    now_ = clock_.time();
    ++events_done_;
    step(workers_[clock_.source()]);
  }
  now_ = end;
  for (Worker& worker : workers_) account(worker);
}

void Simulator::change_policies(std::span<const Policy> policies, std::span<const int64_t> handicap_percent) {
  for (size_t i = 0; i < vms_.size(); ++i) {
    vms_[i]->handicap_percent = handicap_percent[i];
    vms_[i]->timing.told = policies[i].features.running_hint;
  }
  scheduler_.change_policies(policies, now_);
}

VcpuReport Simulator::report(VcpuId id) const {
  const Seat& seat = seats_[index_of(id)];
  return {.counters = seat.vm.counters[seat.cpu.index()],
          .places = seat.places,
          .exits = seat.exits,
          .kicks = seat.kicks,
          .sched = scheduler_.stats(seat.id, now_)};
}

const std::array<uint64_t, kAckBuckets>& Simulator::acks(VmId vm) const { return vms_[index_of(vm)]->acks; }

void Simulator::step(Worker& worker) {
  kicks_sent_ = 0;
  account(worker);
  if (worker.noise_at <= now_ && worker.seat != nullptr && worker.phase != Phase::kStolen) {
    steal(worker);
    return;
  }
  switch (worker.phase) {
    case Phase::kIdle:
      SCHED_CHECK(false);  // an idle worker has no event
      break;
    case Phase::kWaking:
      dispatch(worker);
      break;
    case Phase::kEntering:
      enter(worker);
      break;
    case Phase::kGuest:
      in_guest(worker);
      break;
    case Phase::kExiting:
      handle(worker);
      break;
    case Phase::kStolen:
      resume(worker);
      break;
  }
}

// The time since the last call goes where the phase says; a guest gets it.
void Simulator::account(Worker& worker) {
  Nanos passed = now_ - worker.since;
  worker.since = now_;
  if (worker.seat == nullptr || passed == Nanos::zero()) return;
  worker.busy += passed;
  Seat& seat = *worker.seat;
  const auto add = [&seat](Place place, Nanos time) { seat.places[static_cast<size_t>(place)] += time; };
  switch (worker.phase) {
    case Phase::kGuest:
      add(seat.cpu.spinning() ? Place::kSpinning : Place::kGuest, passed);
      seat.cpu.run(passed);
      return;
    case Phase::kStolen:
      add(Place::kStolen, passed);
      return;
    default:
      break;
  }
  const auto settle = [&](Place place, Nanos& due) {
    const Nanos part = std::min(passed, due);
    add(place, part);
    due -= part;
    passed -= part;
  };
  settle(Place::kMigration, worker.due_migration);
  settle(Place::kInjection, worker.due_injection);
  add(Place::kExits, passed);
}

// Of its own timer.
Nanos Simulator::signal_at(const Worker& worker) const {
  return std::min(worker.tick_at, worker.samples.next(worker.tick_at));
}

// The worker's next event.
void Simulator::schedule(Worker& worker) {
  if (worker.phase == Phase::kGuest) {
    const ModelVcpu& cpu = worker.seat->cpu;
    const Nanos left = cpu.left();
    Nanos end = left == kForever ? kForever : now_ + left;
    if (const Nanos at = signal_at(worker); at != kForever) {
      const Nanos late = costs_.timer_latency + (cpu.in_kernel() ? costs_.kernel_latency : Nanos{});
      end = std::min(end, at + late);
    }
    worker.end = std::max(now_, std::min(end, worker.kick_at));
  }
  const bool noisy = worker.seat != nullptr && worker.phase != Phase::kStolen;
  clock_.set(index_of(worker.id), noisy ? std::min(worker.end, worker.noise_at) : worker.end);
}

void Simulator::schedule_end(Worker& worker, Phase phase, Nanos length) {
  worker.phase = phase;
  worker.end = now_ + length;
  schedule(worker);
}

void Simulator::kick(WorkerId worker) { send_kick(workers_[index_of(worker)], false); }

void Simulator::send_kick(Worker& worker, bool for_irq) {
  ++kicks_sent_;
  if (trace_ != nullptr) {
    trace_->record({.at = now_.count(),
                    .worker = static_cast<uint16_t>(index_of(worker.id)),
                    .kind = TraceKind::kKick,
                    .why = static_cast<uint8_t>(for_irq ? TraceKick::kInterrupt : TraceKick::kSchedule)});
  }
  if (worker.phase == Phase::kIdle) {
    schedule_end(worker, Phase::kWaking, costs_.idle_wake);
    return;
  }
  (for_irq ? worker.irq_posted : worker.tick_wanted) = true;
  if (worker.phase != Phase::kGuest || worker.kick_at != kForever) return;
  account(worker);
  const Nanos deaf = worker.seat->cpu.in_kernel() ? costs_.kernel_latency : Nanos{};
  worker.kick_at = now_ + costs_.kick_latency + deaf;
  schedule(worker);
}

// Takes effect at the worker's next entry or, if another worker asks, at once.
void Simulator::arm_tick(WorkerId id, Nanos at, Nanos) {
  Worker& worker = workers_[index_of(id)];
  if (threads_ != Threads::kWorkers && at != kForever) {
    at = (at + costs_.host_tick - Nanos{1}) / costs_.host_tick * costs_.host_tick;
  }
  worker.tick_at = at;
  if (worker.phase != Phase::kGuest) return;
  account(worker);
  schedule(worker);
}

// A program says that this vCPU should look at what it waits for. It is executing its wait.
void Simulator::look(Seat& seat) {
  Worker& worker = workers_[seat.worker];
  SCHED_DCHECK(worker.phase == Phase::kGuest && worker.seat == &seat);
  account(worker);
  if (seat.cpu.look(now_)) schedule(worker);
}

Nanos Simulator::draw(Worker& worker, Nanos mean) {
  return Nanos{static_cast<int64_t>(worker.noise.below(2 * static_cast<uint64_t>(mean.count()) + 1))};
}

// The host takes the CPU away: everything here stands still, and a waiting guest does not see what changes.
void Simulator::steal(Worker& worker) {
  worker.resume = worker.phase;
  worker.resume_left = worker.end - now_;
  if (worker.phase == Phase::kGuest) worker.seat->cpu.leave();
  worker.stolen_at = now_;
  const Nanos length = draw(worker, costs_.noise_length);
  worker.noise_at = now_ + length + draw(worker, costs_.noise_interval);
  schedule_end(worker, Phase::kStolen, length);
}

void Simulator::resume(Worker& worker) {
  trace(worker, TraceKind::kStolen, 0, static_cast<uint64_t>((now_ - worker.stolen_at).count()));
  if (worker.resume != Phase::kGuest) {
    schedule_end(worker, worker.resume, worker.resume_left);
    return;
  }
  worker.phase = Phase::kGuest;
  if (worker.tick_wanted || worker.irq_posted) worker.kick_at = now_;
  worker.seat->cpu.enter(now_);
  schedule(worker);
}

void Simulator::trace(const Worker& worker, TraceKind kind, uint8_t why, uint64_t value,
                      uint32_t other) const {
  if (trace_ == nullptr) return;
  trace_->record(
      {.at = now_.count(),
       .vcpu = worker.seat != nullptr ? static_cast<uint32_t>(worker.seat - seats_.data()) : kNoOne,
       .other = other,
       .value = value,
       .worker = static_cast<uint16_t>(index_of(worker.id)),
       .kind = kind,
       .why = why});
}

}  // namespace sched::sim
