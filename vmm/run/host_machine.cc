#include "vmm/run/host_machine.h"

#include "vmm/run/cpu_choice.h"
#include "vmm/run/look.h"

namespace vmm {

HostMachine::HostMachine(const HostMode& mode, uint32_t workers) : mode_(mode), workers_(workers) {}

HostMachine::~HostMachine() { stop(); }

Result<void> HostMachine::start() {
  barrier_.close();
  const std::vector<int> cpus = chosen_cpus(workers_).cpus;
  for (const RunningVm& vm : vms_) {
    for (uint32_t i = 0; i < vm.vm->vcpu_count(); ++i) {
      auto thread =
          HostThread::start(vm, vm.vm->vcpu(VcpuIndex{i}), mode_, barrier_, trouble_, cpus, recorder_);
      if (!thread) return Failure(thread.error());
      threads_.push_back(std::move(*thread));
    }
  }
  wait_parked();  // they kick each other
  barrier_.open();
  return {};
}

void HostMachine::pause() {
  barrier_.close();
  for (const auto& thread : threads_) thread->kick(HostThread::kPause);
  wait_parked();
}

void HostMachine::wait_parked() {
  wait_at_barrier(barrier_, static_cast<uint32_t>(threads_.size()), [this] {
    for (const auto& thread : threads_) thread->kick(HostThread::kPause, true);
  });
}

void HostMachine::resume() { barrier_.open(); }

void HostMachine::stop() {
  if (threads_.empty()) return;
  pause();  // so that no thread kicks another that is already gone
  for (const auto& thread : threads_) thread->kick(HostThread::kStop);
  barrier_.open();
  for (const auto& thread : threads_) thread->join();
  threads_.clear();
}

Engine::VcpuUse HostMachine::vcpu_use(const Vcpu& vcpu, Nanos now) const { return thread_of(vcpu).use(now); }

std::vector<Engine::CpuUse> HostMachine::cpu_use(Nanos now) const {
  CpuUse all;
  for (const auto& thread : threads_) {
    all.busy += thread->use(now).sched.times.running;
  }
  all.busy /= workers_;
  return std::vector<CpuUse>(workers_, all);
}

// Of what KVM's LAPICs wait for only the thread's clock tells.
std::optional<uint64_t> HostMachine::sleep_mark(const Vcpu& vcpu) const {
  if (mode_.lapic == LapicPlace::kUserSpace) return Engine::sleep_mark(vcpu);
  return thread_of(vcpu).cpu_time();
}

void HostMachine::look(MachineView& view) const {
  view.at = monotonic_now();
  view.vcpus.clear();
  view.workers.clear();
  for (const RunningVm& running : vms_) {
    for (uint32_t i = 0; i < running.vm->vcpu_count(); ++i) {
      const Vcpu& vcpu = running.vm->vcpu(VcpuIndex{i});
      const HostThread& thread = thread_of(vcpu);
      view.workers.push_back(thread.view(view.at));
      VcpuView& seen = view.vcpus.emplace_back(view_of(vcpu, thread.history(), view.at));
      if (mode_.lapic == LapicPlace::kUserSpace) look_at_lapic(vcpu, seen);
    }
  }
}

std::vector<pid_t> HostMachine::threads() const {
  std::vector<pid_t> all;
  for (const auto& thread : threads_) all.push_back(thread->thread());
  return all;
}

void HostMachine::interrupt_posted(sched::VcpuId target) {
  threads_[index_of(target)]->kick(HostThread::kLook);
}

void HostMachine::ipi_sending(VmId vm, const sched::IpiSend& send) {
  if (recorder_ == nullptr) return;
  const sched::VcpuId first = vms_[index_of(vm)].vm->vcpu(VcpuIndex{0}).id;
  InterruptTrace(recorder_).sending(first, send, monotonic_now(), sched::kNoTraceWorker);
}

void HostMachine::ipi_sent(VmId vm, const sched::IpiSend& send, const sched::VcpuSet& accepted) {
  const Vcpu& sender = vms_[index_of(vm)].vm->vcpu(VcpuIndex{send.sender});
  thread_of(sender).count_ipis(accepted.size());
}

void HostMachine::eoi(sched::VcpuId receiver, sched::IrqVector vector) {
  if (recorder_ != nullptr) {
    InterruptTrace(recorder_).acknowledged(receiver, vector, monotonic_now(), sched::kNoTraceWorker);
  }
  threads_[index_of(receiver)]->count_eoi();
}

void HostMachine::vm_ended(VmId vm) {
  Vm& ended = *vms_[index_of(vm)].vm;
  for (uint32_t i = 0; i < ended.vcpu_count(); ++i) {
    thread_of(ended.vcpu(VcpuIndex{i})).kick(HostThread::kLook);
  }
}

}  // namespace vmm
