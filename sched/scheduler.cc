#include "sched/scheduler.h"

#include <algorithm>
#include <utility>

#include "sched/base/check.h"
#include "sched/place/first_places.h"
#include "sched/queue/fifo_queue.h"
#include "sched/queue/gang_queue.h"

namespace sched {
namespace {

uint32_t count_vcpus(const Setup& setup) {
  uint32_t n = 0;
  for (const VmSetup& vm : setup.vms) n += vm.vcpus;
  return n;
}

}  // namespace

Scheduler::Scheduler(const Setup& setup, Host& host)
    : host_(host),
      tuning_(setup.tuning),
      spin_window_(setup.spin_window),
      moves_(setup.tuning.migration_cost < kDearMove),
      hierarchy_(Hierarchy::resolution_for(setup.workers)),
      vcpus_(count_vcpus(setup)),
      status_(new Status[count_vcpus(setup)]),
      pulse_(new Pulse[count_vcpus(setup)]),
      workers_(setup.workers),
      idle_(setup.workers) {
  SCHED_CHECK(setup.workers >= 1 && setup.workers < kMaxWorkers);
  for (const GroupSetup& group : setup.groups) hierarchy_.add(group.parent, group.weight, tuning_.slice);
  uint32_t first = 0;
  for (const VmSetup& config : setup.vms) {
    Vm& vm = vms_.emplace_back();
    vm.policy = config.policy;
    vm.first = first;
    vm.size = config.vcpus;
    vm.group = hierarchy_.add(config.parent, config.weight, config.policy.tuning.slice);
    vm.ipi = make_ipi_model(config.policy.features.ipi, config.vcpus, config.policy.tuning.ipi_window);
    for (uint32_t i = 0; i < config.vcpus; ++i) {
      Vcpu& vcpu = vcpus_[first + i];
      vcpu.id = VcpuId{vm.first + i};
      vcpu.vm = VmId{static_cast<uint32_t>(vms_.size() - 1)};
      vcpu.group = vm.group;
      vcpu.index = i;
      vcpu.slice = config.policy.tuning.slice;
      vcpu.latency_target = config.policy.tuning.latency_target;
      vcpu.min_slice = config.policy.tuning.min_slice;
    }
    first += config.vcpus;
  }
  const FirstPlaces places = first_places(setup);
  for (uint32_t i = 0; i < vcpus(); ++i) vcpus_[i].last_worker = places.of_vcpu[i];
  whole_ = places.whole;
  if (whole_) {
    for (Vm& vm : vms_) vm.home = places.of_vcpu[vm.first];
    hierarchy_.count_service();
  }
  build_queues(setup);
}

Scheduler::~Scheduler() = default;

void Scheduler::build_queues(const Setup& setup) {
  std::shared_ptr<GangPlan> gangs;
  if (setup.queue == QueueKind::kGang) {
    gangs = std::make_shared<GangPlan>(setup.workers, tuning_.slice);
    for (const VmSetup& vm : setup.vms) gangs->add(vm.vcpus, vm.weight);
    gangs->finish();
    for (Vcpu& vcpu : vcpus_) vcpu.last_worker = gangs->place(vcpu.vm, vcpu.index).column;
    moves_ = false;
  }
  for (uint32_t i = 0; i < setup.workers; ++i) {
    Worker& worker = workers_[i];
    MutexLock lock(worker.mutex);
    switch (setup.queue) {
      case QueueKind::kRoundRobin:
        worker.queue = std::make_unique<FifoQueue>();
        break;
      case QueueKind::kGang:
        worker.queue = std::make_unique<GangQueue>(gangs);
        break;
      default: {
        SCHED_CHECK(setup.queue == QueueKind::kEevdf);  // the host presets have no run queue of ours
        auto queue = std::make_unique<EevdfQueue>(hierarchy_, tuning_, setup.seed * setup.workers + i);
        worker.eevdf = queue.get();
        worker.queue = std::move(queue);
      }
    }
    // Staggered, so that workers do not all look at each other at once.
    worker.next_balance = tuning_.balance_interval * (i + 1) / setup.workers;
  }
}

// Ends the stretch of time in the current state.
void Scheduler::account_state(Vcpu& vcpu, RunState next, Nanos now) {
  const Nanos stretch = now - vcpu.state_since;
  StateTimes& times = vcpu.stats.times;
  switch (vcpu.state) {
    case RunState::kRunning:
      times.running += stretch;
      break;
    case RunState::kQueued:
      times.waiting += stretch;
      vcpu.stats.worst_wait = std::max(vcpu.stats.worst_wait, stretch);
      break;
    case RunState::kHalted:
      times.halted += stretch;
      break;
    case RunState::kNew:
    case RunState::kMoving:
    case RunState::kStopped:
      times.stopped += stretch;
      break;
  }
  vcpu.state = next;
  vcpu.state_since = now;
}

void Scheduler::publish(Worker& worker, WorkerId id) {
  worker.load.store(worker.queue->load().value, std::memory_order_relaxed);
  idle_.set_waiting(id, worker.queue->waiting());
}

// Asks the host for a tick at the end of the turn, if that has changed; `again`: the tick may have fired.
void Scheduler::arm(Worker& worker, WorkerId id, bool again) {
  Nanos end = worker.queue->turn_end();
  if (const Vcpu* vcpu = worker.queue->current()) end = std::min(end, vcpu->loan_end);
  if (end == worker.armed && !again) return;
  worker.armed = end;
  host_.arm_tick(id, end);
}

std::optional<Turn> Scheduler::pick_locked(Worker& worker, WorkerId id, Nanos now) {
  Vcpu* vcpu = worker.queue->pick(now);
  if (vcpu == nullptr) return std::nullopt;
  account_state(*vcpu, RunState::kRunning, now);
  vcpu->came_on = now;
  const Vm& vm = vm_at(vcpu->vm);
  vcpu->patience = vm.awaiting.load(std::memory_order_relaxed) == 0 ? vm.policy.tuning.patience : 1;
  worker.running = vcpu;
  vcpu->turn = std::exchange(vcpu->next_turn, {});
  vcpu->loan_end = vcpu->turn.kind == Handover::Kind::kForLock ? now + vcpu->turn.length : kForever;
  ++vcpu->stats.switches_in;
  if (vcpu->last_worker != id) ++vcpu->stats.migrations;
  vcpu->last_worker = id;
  status_at(vcpu->id).set_running(id);
  Pulse& pulse = pulse_[index_of(vcpu->id)];
  pulse.runs.store(pulse.runs.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  note_return(*vcpu);
  publish(worker, id);
  arm(worker, id);
  return Turn{vcpu->id, worker.armed};
}

std::optional<Turn> Scheduler::pick(WorkerId id, Nanos now) {
  Worker& worker = worker_at(id);
  bool balance_now = false;
  {
    MutexLock lock(worker.mutex);
    if (worker.idle) idle_.set_idle(id, worker.idle = false);
    balance_now = now >= worker.next_balance;
    if (balance_now) {
      worker.next_balance = now + tuning_.balance_interval;
    } else if (auto turn = pick_locked(worker, id, now)) {
      return turn;
    }
  }
  if (balance_now && moves_ && !balance(id, now)) {
    MutexLock lock(worker.mutex);
    worker.next_balance = std::min(worker.next_balance, now + tuning_.slice);
  }
  for (;;) {
    {
      MutexLock lock(worker.mutex);
      if (auto turn = pick_locked(worker, id, now)) return turn;
    }
    if (moves_ && steal(id, now)) continue;
    {
      MutexLock lock(worker.mutex);
      if (worker.queue->runnable() > 0) continue;  // came in meanwhile
      idle_.set_idle(id, worker.idle = true);
      arm(worker, id);
    }
    // Once more: whoever made a vCPU wait before this did not see an idle worker (idle_workers.h).
    if (!moves_ || !idle_.is_waited_for(id) || !steal(id, now)) return std::nullopt;
  }
}

std::optional<Turn> Scheduler::tick(WorkerId id, Nanos now) {
  Worker& worker = worker_at(id);
  MutexLock lock(worker.mutex);
  Vcpu* vcpu = worker.queue->current();
  SCHED_CHECK(vcpu != nullptr);
  if (worker.queue->tick(now)) return std::nullopt;
  if (now >= vcpu->loan_end && end_loan(worker, id, *vcpu, now)) return std::nullopt;
  arm(worker, id, true);
  return Turn{vcpu->id, worker.armed};
}

void Scheduler::excuse(WorkerId id, Nanos lost) {
  Worker& worker = worker_at(id);
  MutexLock lock(worker.mutex);
  SCHED_CHECK(worker.queue->current() != nullptr);
  worker.queue->excuse(lost);
}

// What put(), halt() and stop() have in common.
Vcpu& Scheduler::leave_current(Worker& worker, Nanos now) {
  Vcpu* vcpu = worker.queue->current();
  SCHED_CHECK(vcpu != nullptr);
  vcpu->last_ran = now;
  pulse_[index_of(vcpu->id)].off_since.store(now.count(), std::memory_order_relaxed);
  note_outcome(*vcpu, false);
  if (vcpu->move_to == kNoWorker) vcpu->move_to = vcpu->turn.back;
  vcpu->turn = {};
  vcpu->loan_end = kForever;
  worker.running = nullptr;
  return *vcpu;
}

void Scheduler::put(WorkerId id, Nanos now, bool in_kernel) {
  Worker& worker = worker_at(id);
  bool others_wait = false;
  Vcpu* moving = nullptr;
  WorkerId to = kNoWorker;
  {
    MutexLock lock(worker.mutex);
    Vcpu& vcpu = leave_current(worker, now);
    account_state(vcpu, RunState::kQueued, now);
    ++vcpu.stats.preemptions;
    to = next_place(worker, id, vcpu);
    if (to == kNoWorker) {
      worker.queue->put(now);
      status_at(vcpu.id).set_preempted(in_kernel);
    } else {
      worker.queue->dequeue(vcpu, now);
      status_at(vcpu.id).set_preempted_moving(in_kernel);
      moving = &vcpu;
    }
    publish(worker, id);
    others_wait = worker.queue->runnable() > 1;
  }
  if (moving != nullptr) enqueue_moving(*moving, to, now);
  if (others_wait) offer(id);
}

void Scheduler::halt(WorkerId id, Nanos now) {
  Worker& worker = worker_at(id);
  MutexLock lock(worker.mutex);
  Vcpu& vcpu = leave_current(worker, now);
  worker.queue->dequeue(vcpu, now);
  vcpu.move_to = kNoWorker;
  account_state(vcpu, RunState::kHalted, now);
  publish(worker, id);
  status_at(vcpu.id).set_halted();  // from here on a waker may own it
}

void Scheduler::stop(WorkerId id, Nanos now) {
  Worker& worker = worker_at(id);
  MutexLock lock(worker.mutex);
  Vcpu& vcpu = leave_current(worker, now);
  worker.queue->dequeue(vcpu, now);
  account_state(vcpu, RunState::kStopped, now);
  publish(worker, id);
  status_at(vcpu.id).set_stopped();
  forget(vcpu);
}

void Scheduler::start(VcpuId id, Nanos now) {
  Vcpu& vcpu = vcpu_at(id);
  SCHED_CHECK(status_at(id).claim(RunState::kNew));
  vcpu.state_since = now;
  enqueue_moving(vcpu, choose_worker(vcpu), now);
}

Scheduler::Posted Scheduler::interrupt_posted(VcpuId target, Nanos now) {
  Status& status = status_at(target);
  status.set_irq_pending();
  if (status.claim(RunState::kHalted)) {
    Vcpu& vcpu = vcpu_at(target);
    ++vcpu.stats.wakeups;
    enqueue_moving(vcpu, choose_worker(vcpu), now);
    return Posted::kWoken;
  }
  return status.view().state() == RunState::kRunning ? Posted::kRunning : Posted::kNothing;
}

void Scheduler::reset(VcpuId vcpu) { forget(vcpu_at(vcpu)); }

void Scheduler::ipi_sending(VmId vm, const IpiSend& send, Nanos now) {
  if (IpiModel* ipi = vm_at(vm).ipi.get(); ipi != nullptr && can_be_sent(send.vector))
    ipi->sending(send, now);
}

void Scheduler::ipi_sent(VmId vm, const IpiSend& send, const VcpuSet& accepted, Nanos now) {
  Vm& sender_vm = vm_at(vm);
  vcpus_[sender_vm.first + send.sender].stats.ipis_sent += accepted.size();
  if (IpiModel* ipi = sender_vm.ipi.get(); ipi != nullptr && can_be_sent(send.vector)) {
    ipi->accepted(send, accepted, now);
  }
}

void Scheduler::eoi(VcpuId receiver, IrqVector vector, Nanos now) {
  Vcpu& vcpu = vcpu_at(receiver);
  ++vcpu.stats.eois;
  Vm& vm = vm_at(vcpu.vm);
  if (vm.ipi == nullptr) return;
  vm.ipi->eoi(vcpu.index, vector, now);
  if (vcpu.turn.kind == Handover::Kind::kForAck) resume_sender(vcpu, now);
}

VcpuStats Scheduler::stats(VcpuId id, Nanos now) const {
  Vcpu copy = vcpu_at(id);
  account_state(copy, copy.state, now);
  return copy.stats;
}

void Scheduler::reset_peaks() {
  for (Vcpu& vcpu : vcpus_) vcpu.stats.worst_wait = Nanos{};
}

uint64_t Scheduler::steps() {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < workers(); ++i) {
    sum += inspect(WorkerId{i}, [](RunQueue& queue) { return queue.steps(); });
  }
  return sum;
}

void Scheduler::check() {
  for (Worker& worker : workers_) {
    MutexLock lock(worker.mutex);
    if (worker.eevdf != nullptr) worker.eevdf->check();
  }
}

}  // namespace sched
