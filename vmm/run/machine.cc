#include "vmm/run/machine.h"

#include <fmt/format.h>

#include "vmm/run/cpu_choice.h"
#include "vmm/run/look.h"

namespace vmm {
namespace {

uint16_t traced_worker() {
  const Worker* here = Worker::current();
  return here == nullptr ? sched::kNoTraceWorker : static_cast<uint16_t>(index_of(here->id()));
}

}  // namespace

Machine::Machine(const sched::Setup& setup, Nanos sample_cost, Nanos rotate, EventLoopKind event_loop,
                 bool carriers)
    : scheduler_(setup, *this),
      sample_cost_(sample_cost),
      event_loop_(event_loop),
      has_carriers_(carriers),
      rotation_(chosen_cpus(setup.workers).cpus, setup.workers, rotate) {}

Machine::~Machine() { stop(); }

void Machine::stop() {
  if (workers_.empty()) return;
  pause();            // so that no worker kicks another that is already gone
  carriers_.clear();  // the workers are at home, and the last carriers are through with giving them
  for (const auto& worker : workers_) worker->kick(Worker::kStop);
  barrier_.open();
  for (const auto& worker : workers_) worker->join();
  workers_.clear();
}

// "kvmux-c1.3" is the thread of vCPU 3 of VM 1.
Result<void> Machine::start_carriers() {
  carriers_.reserve(scheduler_.vcpus());
  for (uint32_t i = 0; i < scheduler_.vcpus(); ++i) {
    const sched::VcpuId id{i};
    const std::string name =
        fmt::format("kvmux-c{}.{}", index_of(scheduler_.vm_of(id)), scheduler_.index_in_vm(id));
    const int cpu = rotation_.cpu_of(sched::WorkerId{i % scheduler_.workers()});
    auto carrier = Carrier::start(name, cpu, trouble_);
    if (!carrier) return Failure(carrier.error());
    carriers_.push_back(std::move(*carrier));
  }
  return {};
}

Result<void> Machine::start() {
  for (const RunningVm& running : vms_) {
    keep_registers(*running.vm);
    scheduler_.guest_publishes(running.vm->id(), running.pages);
  }
  // The workers wait at the pause barrier until all are there: they kick each other.
  barrier_.close();
  if (has_carriers_) {
    if (auto started = start_carriers(); !started) return started;
  }
  const WorkerContext context{scheduler_,
                              *this,
                              barrier_,
                              vms_,
                              sample_cost_,
                              rotation_,
                              workers_,
                              trouble_,
                              event_loop_,
                              recorder_,
                              has_carriers_ ? &carriers_ : nullptr};
  workers_.reserve(scheduler_.workers());
  for (uint32_t i = 0; i < scheduler_.workers(); ++i) {
    auto worker = Worker::start(sched::WorkerId{i}, context);
    if (!worker) return Failure(worker.error());
    workers_.push_back(std::move(*worker));
  }
  wait_parked();
  const Nanos now = monotonic_now();
  for (uint32_t i = 0; i < scheduler_.vcpus(); ++i) scheduler_.start(sched::VcpuId{i}, now);
  barrier_.open();
  return {};
}

// What a worker looks at after most exits.
void Machine::keep_registers(Vm& vm) const {
  for (uint32_t i = 0; i < vm.vcpu_count(); ++i) {
    vm.vcpu(VcpuIndex{i}).kvm.keep_sregs(needs_cpl(scheduler_.policy(vm.id()).features));
  }
}

// Nobody is on a worker: every vCPU's lease is free, and the count of those that run is 0 wherever guests are
// told.
void Machine::change_policies(std::span<const VmChange> vms, Nanos now) {
  std::vector<sched::Policy> policies;
  for (const VmChange& vm : vms) policies.push_back(vm.policy);
  scheduler_.change_policies(policies, now);
  for (size_t i = 0; i < vms_.size(); ++i) {
    vms_[i].handicap_percent = vms[i].handicap_percent.value_or(0);
    vms_[i].vcpus_running = vms[i].policy.features.running_hint ? vms_[i].hint_place : nullptr;
    keep_registers(*vms_[i].vm);
  }
}

void Machine::pause() {
  barrier_.close();
  for (const auto& worker : workers_) worker->kick(Worker::kPause);
  wait_parked();
}

void Machine::wait_parked() {
  wait_at_barrier(barrier_, static_cast<uint32_t>(workers_.size()), [this] {
    for (const auto& worker : workers_) worker->kick(Worker::kPause, true);
  });
}

void Machine::resume() { barrier_.open(); }

Engine::VcpuUse Machine::vcpu_use(const Vcpu& vcpu, Nanos now) const {
  return {scheduler_.stats(vcpu.id, now), copy_of(vcpu.account)};
}

Engine::VcpuUse Machine::counted(const Vcpu& vcpu) const {
  VcpuUse use{scheduler_.counted(vcpu.id), copy_of(vcpu.account)};
  use.sched.times = {};
  return use;
}

std::vector<Engine::CpuUse> Machine::cpu_use(Nanos) const {
  std::vector<CpuUse> all;
  for (const auto& worker : workers_) {
    const auto use = worker->host_use();
    if (!use) trouble_.report(use.error());
    all.push_back({.busy = worker->busy(), .involuntary_switches = use ? use->preemptions : 0});
  }
  return all;
}

std::vector<pid_t> Machine::threads() const {
  std::vector<pid_t> all;
  for (const auto& worker : workers_) all.push_back(worker->home_thread());
  for (const auto& carrier : carriers_) all.push_back(carrier->thread());
  return all;
}

void Machine::look(MachineView& view) const {
  view.at = monotonic_now();
  view.vcpus.clear();
  view.workers.clear();
  for (const auto& worker : workers_) view.workers.push_back(worker->view(view.at));
  for (const RunningVm& running : vms_) {
    for (uint32_t i = 0; i < running.vm->vcpu_count(); ++i) {
      const Vcpu& vcpu = running.vm->vcpu(VcpuIndex{i});
      VcpuView& seen = view.vcpus.emplace_back(view_of(vcpu, scheduler_.history(vcpu.id), view.at));
      const sched::Status::View status = scheduler_.status(vcpu.id);
      // A vCPU that is on its way is so in its status alone.
      if (status.state() == sched::RunState::kMoving) seen.state = sched::RunState::kMoving;
      seen.preempted = status.preempted();
      seen.spinning = status.spinning();
      const sched::Progress& progress = scheduler_.progress(vcpu.id);
      seen.runs = progress.runs.load(std::memory_order_relaxed);
      seen.spin_exits = progress.spins.load(std::memory_order_relaxed);
      look_at_lapic(vcpu, seen);
      const bool on_queue = seen.state == sched::RunState::kQueued || seen.state == sched::RunState::kRunning;
      if (on_queue && index_of(seen.worker) < view.workers.size())
        ++view.workers[index_of(seen.worker)].runnable;
    }
  }
}

void Machine::trace_into(TraceRecorder* recorder) {
  Engine::trace_into(recorder);
  trace_ = InterruptTrace(recorder);
  scheduler_.trace_into(recorder);
}

void Machine::kick(sched::WorkerId worker) {
  if (trace_.is_on()) trace_.kicks(worker, sched::kNoVcpu, monotonic_now());
  workers_[index_of(worker)]->kick(Worker::kTick);
}

void Machine::arm_tick(sched::WorkerId worker, Nanos at, Nanos now) {
  workers_[index_of(worker)]->arm_tick(at, now);
}

void Machine::interrupt_posted(sched::VcpuId target) {
  if (scheduler_.interrupt_posted(target, monotonic_now()) != sched::Scheduler::Posted::kRunning) return;
  // It may have moved on since: a kick too many makes a worker look once in vain.
  const sched::WorkerId worker = scheduler_.status(target).worker();
  if (trace_.is_on()) trace_.kicks(worker, target, monotonic_now());
  workers_[index_of(worker)]->kick(Worker::kLook);
}

void Machine::ipi_sending(VmId vm, const sched::IpiSend& send) {
  const Nanos now = monotonic_now();
  if (trace_.is_on()) trace_.sending(scheduler_.vcpu_id(vm, 0), send, now, traced_worker());
  scheduler_.ipi_sending(vm, send, now);
}

void Machine::ipi_sent(VmId vm, const sched::IpiSend& send, const sched::VcpuSet& accepted) {
  scheduler_.ipi_sent(vm, send, accepted, monotonic_now());
}

void Machine::eoi(sched::VcpuId receiver, sched::IrqVector vector) {
  const Nanos now = monotonic_now();
  if (trace_.is_on()) trace_.acknowledged(receiver, vector, now, traced_worker());
  scheduler_.eoi(receiver, vector, now);
}

void Machine::vm_ended(VmId) {
  for (const auto& worker : workers_) worker->kick(Worker::kLook);
}

}  // namespace vmm
