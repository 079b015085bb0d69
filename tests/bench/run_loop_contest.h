// The run loop and a bare KVM_RUN loop over the same vCPUs, in turn: the rig of bench_run_loop.cc. Main
// thread only, pinned to the CPU of the machine's one worker.
#pragma once

#include <fmt/format.h>

#include <cstdlib>
#include <memory>
#include <semaphore>
#include <string>
#include <vector>

#include "sched/policy/parse.h"
#include "tests/kvm/code_vm.h"
#include "vmm/run/machine.h"
#include "vmm/run/tiny_vm.h"

namespace bench {

using namespace vmm;

inline constexpr uint32_t kVcpus = 2;

[[noreturn]] inline void give_up(const std::string& why) {
  fmt::print(stderr, "bench_run_loop: {}\n", why);
  std::exit(3);
}

template <class T>
T need(Result<T> result) {
  if (!result) give_up(result.error().text());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// The board of the built-in guests, which on demand takes the CPU time that its worker needs for so many
// doorbells. One worker.
class TimedBoard final : public Board {
 public:
  TimedBoard(Vm& vm, Notifier& notifier) : board_(vm, notifier, console_) {}

  // Main thread, machine paused; then resume it and wait().
  void begin(uint64_t bells) {
    wanted_ = bells;
    seen_ = 0;
  }
  Nanos wait() {
    done_.acquire();
    return end_ - start_;
  }

  Next mmio_write(Vcpu& vcpu, Gpa address, std::span<const uint8_t> data) override {
    if (seen_ == 0) start_ = thread_cpu_now();
    if (seen_++ == wanted_) {
      end_ = thread_cpu_now();
      done_.release();
    }
    return board_.mmio_write(vcpu, address, data);
  }
  void ipi(Vcpu& v, const apic::IpiRequest& request) override { board_.ipi(v, request); }
  void end_of_interrupt(Vcpu& v, const apic::EndOfInterrupt& eoi) override {
    board_.end_of_interrupt(v, eoi);
  }
  Next port_read(Vcpu& v, uint16_t port, std::span<uint8_t> data) override {
    return board_.port_read(v, port, data);
  }
  Next port_write(Vcpu& v, uint16_t port, std::span<const uint8_t> data) override {
    return board_.port_write(v, port, data);
  }
  Next mmio_read(Vcpu& v, Gpa address, std::span<uint8_t> data) override {
    return board_.mmio_read(v, address, data);
  }
  bool complete_instruction(Vcpu& v) override { return board_.complete_instruction(v); }
  void fail(const Vcpu&, const std::string& why) override { give_up(why); }

 private:
  Console console_{write_lines_to(1)};
  TinyBoard board_;
  uint64_t wanted_ = 0;
  uint64_t seen_ = 0;
  Nanos start_{};
  Nanos end_{};
  std::binary_semaphore done_{0};
};

inline sched::Setup one_worker(const char* policy) {
  sched::Setup setup;
  setup.workers = 1;
  sched::VmSetup vm;
  vm.vcpus = kVcpus;
  vm.policy = *sched::parse_policy(policy);
  setup.tuning = vm.policy.tuning;
  setup.vms.push_back(std::move(vm));
  return setup;
}

// A VM on a machine of one worker, paused, and the bare loop over the same vCPUs.
class Contest {
 public:
  Contest(const System& system, std::span<const uint8_t> code, const char* policy)
      : vm_(need(make(system, code))), machine_(one_worker(policy), vmm::Nanos{}), board_(*vm_, machine_) {
    machine_.add({vm_.get(), &board_});
    board_.begin(kWarmUp);
    need(machine_.start());
    board_.wait();
    machine_.pause();
  }
  ~Contest() { machine_.stop(); }

  // CPU time for so many doorbells, and how many vCPU switches there were among them.
  Nanos through_run_loop(uint64_t bells, double& switches_a_bell) {
    const Totals before = totals();
    board_.begin(bells);
    machine_.resume();
    const Nanos time = board_.wait();
    machine_.pause();
    const Totals after = totals();
    switches_a_bell = static_cast<double>(after.switches - before.switches) /
                      static_cast<double>(after.exits - before.exits);
    return time;
  }

  // The same number by the first `vcpus` vCPUs in turn. Bare loops ask for no registers; one that does has
  // KVM write out what the run loop has written out at every exit.
  Nanos bare(uint64_t bells, uint32_t vcpus, bool with_registers = false) {
    std::vector<VcpuLease> leases;
    for (uint32_t i = 0; i < vcpus; ++i) leases.emplace_back(vm_->vcpu(VcpuIndex{i}));
    const uint64_t registers = leases.front()->kvm.area().kvm_valid_regs;
    for (VcpuLease& lease : leases) {
      lease->kvm.clear_exit_request();
      if (!with_registers) lease->kvm.area().kvm_valid_regs = 0;
    }
    uint32_t next = 0;
    const auto ring_one = [&] {
      VcpuFd& kvm = leases[next]->kvm;
      if (const int error = kvm.run(); error != 0) give_up(fmt::format("KVM_RUN: errno {}", error));
      const kvm_run& area = kvm.area();
      if (area.exit_reason != KVM_EXIT_MMIO || area.mmio.phys_addr != kDoorbellPage.value)
        give_up(fmt::format("the guest left with exit {}", area.exit_reason));
      next = next + 1 == vcpus ? 0 : next + 1;
    };
    ring_one();
    const Nanos start = thread_cpu_now();
    for (uint64_t i = 0; i < bells; ++i) ring_one();
    const Nanos time = thread_cpu_now() - start;
    for (VcpuLease& lease : leases) lease->kvm.area().kvm_valid_regs = registers;
    for (uint32_t i = 0; i < vcpus; ++i) ring_one();  // the run loop finds them up to date
    return time;
  }

 private:
  static constexpr uint64_t kWarmUp = 200;
  struct Totals {
    uint64_t switches = 0;
    uint64_t exits = 0;
  };

  static Result<std::unique_ptr<Vm>> make(const System& system, std::span<const uint8_t> code) {
    return kvm_test::make_code_vm(system, code, kVcpus);
  }
  Totals totals() const {
    Totals sum;
    for (uint32_t i = 0; i < kVcpus; ++i) {
      const Engine::VcpuUse use = machine_.vcpu_use(vm_->vcpu(VcpuIndex{i}), monotonic_now());
      sum.switches += use.sched.switches_in;
      sum.exits += use.account.exit_count;
    }
    return sum;
  }

  std::unique_ptr<Vm> vm_;
  Machine machine_;
  TimedBoard board_;
};

}  // namespace bench
