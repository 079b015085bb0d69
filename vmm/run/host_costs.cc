#include "vmm/run/host_costs.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <thread>

#include "vmm/run/calibrate.h"
#include "vmm/run/cpu_choice.h"
#include "vmm/run/entry.h"
#include "vmm/run/exit.h"
#include "vmm/run/handover_cost.h"
#include "vmm/run/machine.h"
#include "vmm/run/move_cost.h"

namespace vmm {
namespace {

const std::atomic<bool> kNever{false};  // stops

using namespace std::chrono_literals;

constexpr int kRounds = 60;

// Nobody schedules here: the bench enters its vCPUs itself.
class NoNotifier final : public Notifier {
 public:
  void interrupt_posted(sched::VcpuId) override {}
  void ipi_sent(VmId, const sched::IpiSend&, const sched::VcpuSet&) override {}
  void eoi(sched::VcpuId, sched::IrqVector) override { ++eois; }
  void vm_ended(VmId) override {}
  int eois = 0;
};

Nanos median(std::vector<Nanos> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Nanos median_of(const std::function<Nanos()>& once) {
  std::vector<Nanos> values;
  for (int i = 0; i < kRounds; ++i) values.push_back(once());
  return median(std::move(values));
}

void pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu), &set);
  ::pthread_setaffinity_np(::pthread_self(), sizeof(set), &set);
}

// Two vCPUs of the ipi guest with endless thinking: native CPL 3 code with an interrupt handler.
class Bench {
 public:
  [[nodiscard]] Result<void> set_up() {
    spec_.guest = "ipi";
    spec_.vcpus = 2;
    spec_.workload.think_ns = 3'600'000'000'000;
    spec_.workload.fanout = 1;
    auto calibrated = calibration(3, 1, kNever);
    if (!calibrated) return Failure(calibrated.error());
    calibration_ = *calibrated;
    auto system = System::open();
    if (!system) return Failure(system.error());
    auto tiny =
        make_tiny_vm(*system, {.options = {}, .first = {}, .spec = spec_, .calibration = calibration_},
                     notifier_, console_);
    if (!tiny) return Failure(tiny.error());
    tiny_.emplace(std::move(*tiny));
    auto timer = PreemptTimer::create(trouble_);
    if (!timer) return Failure(timer.error());
    timer_ = std::move(*timer);
    // Through the guest's own set-up into its endless loop.
    for (uint32_t i = 0; i < spec_.vcpus; ++i) {
      if (!run_for(vcpu(i), 100ms))
        return host_error("KVM_RUN", 0, "the bench guest ended: " + tiny_->vm->failure());
    }
    return {};
  }

  // From the moment for which the timer is armed until KVM_RUN has returned.
  Nanos timer_to_exit() {
    const Nanos at = monotonic_now() + 300us;
    timer_->arm_tick(at);
    enter(vcpu(0));
    return monotonic_now() - at;
  }

  // From another thread's kick until KVM_RUN has returned.
  Nanos kick_to_exit() {
    Nanos kicked{};
    std::thread kicker([&] {
      std::this_thread::sleep_for(300us);
      kicked = monotonic_now();
      timer_->kick();
    });
    enter(vcpu(0));
    const Nanos back = monotonic_now();
    kicker.join();
    return back - kicked;
  }

  // From an entry that injects an interrupt to the exit of the handler's EOI.
  Nanos inject_to_eoi() {
    Vcpu& v = vcpu(0);
    // The guest's IPI vector is the first that its IDT serves.
    static_cast<void>(v.lapic.post(apic::Vector{kIpiVector}, apic::TriggerMode::kEdge));
    const int before = notifier_.eois;
    const Nanos start = monotonic_now();
    while (notifier_.eois == before && monotonic_now() - start < 50ms) {
      timer_->arm_tick(start + 50ms);
      step(v);
    }
    return monotonic_now() - start;
  }

  // KVM_RUN that returns at once, of one vCPU or of two in turn.
  Nanos load(uint32_t which) {
    VcpuFd& kvm = vcpu(which).kvm;
    kvm.request_exit();
    const Nanos start = monotonic_now();
    const int error = kvm.run();
    KVMUX_CHECK(error == EINTR, "a requested exit comes before the guest");
    return monotonic_now() - start;
  }

  const Calibration& calibrated() const { return calibration_; }

 private:
  static constexpr uint8_t kIpiVector = 0x40;

  Vcpu& vcpu(uint32_t i) { return tiny_->vm->vcpu(VcpuIndex{i}); }

  int enter(Vcpu& v) {
    timer_->announce(&v.kvm);
    v.kvm.clear_exit_request();
    const int error = timer_->has_fired() ? EINTR : v.kvm.run();
    timer_->announce(nullptr);
    timer_->take_fired();
    return error;
  }

  bool step(Vcpu& v) {
    prepare_entry(v, monotonic_now());
    const int error = enter(v);
    if (error == EINTR || error == VcpuFd::kOnlyFinished) return true;
    if (error != 0) return false;
    const Next next = handle_exit(v, v.kvm.area(), *tiny_->board, monotonic_now());
    return next != Next::kStopVm && next != Next::kStopVcpu;
  }

  bool run_for(Vcpu& v, Nanos time) {
    const Nanos end = monotonic_now() + time;
    while (monotonic_now() < end) {
      timer_->arm_tick(end);
      if (!step(v)) return false;
    }
    return true;
  }

  VmSpec spec_;
  Calibration calibration_;
  NoNotifier notifier_;
  Console console_{write_lines_to(1)};
  std::optional<TinyVm> tiny_;
  Trouble trouble_;
  std::unique_ptr<PreemptTimer> timer_;
};

// What a vCPU costs on another CPU's thread more than staying.
Result<Nanos> measure_move(Bench& bench, const std::vector<int>& cpus, Nanos staying) {
  if (cpus.size() < 2) return Nanos{};
  auto moved = times_of_moves([&] { return bench.load(0); },
                              {.most = kRounds, .enough = {}, .limit = 300ms, .cpu_there = cpus[1]});
  if (!moved) return Failure(moved.error());
  return std::max(Nanos{}, median(std::move(*moved)) - staying);
}

}  // namespace

Result<std::vector<MeasuredCost>> measure_host_costs() {
  const std::vector<int> cpus = chosen_cpus(2).cpus;
  cpu_set_t before;
  ::pthread_getaffinity_np(::pthread_self(), sizeof(before), &before);
  pin_to(cpus[0]);
  Bench bench;
  if (auto ready = bench.set_up(); !ready) return Failure(ready.error());
  const auto in_kernel = calibration(0, 1, kNever);
  if (!in_kernel) return Failure(in_kernel.error());

  const Nanos exit_user = bench.calibrated().exit_cost;
  const Nanos timer = median_of([&] { return bench.timer_to_exit(); });
  const Nanos kick = median_of([&] { return bench.kick_to_exit(); });
  const Nanos inject = median_of([&] { return bench.inject_to_eoi(); });
  const Nanos staying = median_of([&] { return bench.load(0); });
  uint32_t turn = 0;
  const Nanos switching = median_of([&] { return bench.load(++turn % 2); });
  const auto move = measure_move(bench, cpus, staying);
  ::pthread_setaffinity_np(::pthread_self(), sizeof(before), &before);
  if (!move) return Failure(move.error());
  const auto handover = measure_handover_cost();
  if (!handover) return Failure(handover.error());

  const auto cost = [](const char* key, const char* what, Nanos value) {
    return MeasuredCost{key, what, value.count()};
  };
  return std::vector<MeasuredCost>{
      cost("exit_user_ns", "exit to user space from CPL 3, round trip", exit_user),
      cost("exit_kernel_ns", "exit to user space from CPL 0, round trip", in_kernel->exit_cost),
      cost("preempt_user_ns", "CPL 3 code taken out by a timer (measured), and half an exit to go back in",
           timer + exit_user / 2),
      cost("kick_latency_ns", "what a kick from another thread takes longer than a timer",
           std::max(Nanos{}, kick - timer)),
      cost("stub_ns", "entry with an interrupt until its EOI exits, less one exit",
           std::max(Nanos{}, inject - in_kernel->exit_cost)),
      cost("vcpu_switch_ns", "loading another vCPU than the last", std::max(Nanos{}, switching - staying)),
      cost("vcpu_move_ns", "on top, if it ran on another CPU", *move),
      cost("carrier_switch_ns", "on top of a switch where a thread carries each vCPU", *handover),
      {"pauses_per_ms", "turns of the guests' spin loop",
       static_cast<int64_t>(bench.calibrated().pauses_per_ms)},
      {"delay_iters_per_ms", "turns of the guests' work loop",
       static_cast<int64_t>(bench.calibrated().delay_iters_per_ms)},
  };
}

}  // namespace vmm
