// A model guest with its program, as the simulator holds it. Internal to the simulator.
#pragma once

#include "sched/sim/simulator.h"

namespace sched::sim {

class Simulator::ModelVm final : public Port {
 public:
  ModelVm(Simulator& simulator, VmId vm, VcpuId first_vcpu, const VmModel& model, const Config& config,
          uint64_t seed)
      : Port(model.vcpus),
        id(vm),
        first(index_of(first_vcpu)),
        vcpus(model.vcpus),
        handicap_percent(model.handicap_percent),
        timing(timing_of(model, config, vm)),
        program(model.script ? make_replay(model.script, seed, *this)
                             : make_program(model.guest, model.workload, model.vcpus, seed, *this)),
        receivers(model.vcpus),
        simulator_(simulator) {}

  void look(uint32_t vcpu) override {
    if (spinning.contains(vcpu)) simulator_.look(simulator_.seats_[first + vcpu]);
  }

  void mark(uint32_t vcpu, TraceMark what, uint64_t value) override {
    if (simulator_.trace_ == nullptr) return;
    simulator_.trace_->record({.at = simulator_.now_.count(),
                               .vcpu = first + vcpu,
                               .value = value,
                               .kind = TraceKind::kMark,
                               .why = static_cast<uint8_t>(what)});
  }

  const VmId id;
  const uint32_t first;  // VcpuId of its vCPU 0
  const uint32_t vcpus;
  int64_t handicap_percent;
  GuestTiming timing;
  const std::unique_ptr<Program> program;
  VcpuSet receivers;  // scratch of send_ipi()

 private:
  static GuestTiming timing_of(const VmModel& model, const Config& config, VmId vm) {
    const CostProfile& costs = config.costs;
    GuestTiming timing;
    timing.stub = costs.stub;
    timing.stub_back = model.kernel ? Nanos{} : costs.trap / 2;
    timing.trap = model.kernel ? Nanos{} : costs.trap / 2;
    timing.slowdown = model.kernel ? costs.kernel_slowdown : 1;
    if (config.spin_window > Nanos::zero()) timing.window = config.spin_window * timing.slowdown;
    timing.kernel = model.kernel;
    timing.told =
        config.threads == Threads::kWorkers && config.setup.vms[index_of(vm)].policy.features.running_hint;
    return timing;
  }

  Simulator& simulator_;
};

}  // namespace sched::sim
