// What a scheduling decision costs. Targets, in tests/bench/run.sh: pick + put back at most 150 ns with 8
// vCPUs queued, and with 16,384 at most four times the figure with 8; a penalty 20 ns; a spin exit over the
// 64 vCPUs of a VM 500 ns; noting an IPI sent and an EOI 30 ns each.
#include <benchmark/benchmark.h>

#include <array>
#include <deque>
#include <memory>
#include <string>

#include "sched/base/rng.h"
#include "sched/ipi/model.h"
#include "sched/policy/parse.h"
#include "sched/queue/eevdf_queue.h"
#include "sched/scheduler.h"
#include "sched/yield/penalty.h"

namespace {

using namespace sched;

// One worker's queue with n vCPUs in VMs of at most this many.
class Crowd {
 public:
  Crowd(uint32_t vcpus, uint32_t of_a_vm) {
    for (uint32_t v = 0; v < vcpus; v += of_a_vm) hierarchy_.add(kRootGroup, kDefaultWeight, tuning_.slice);
    queue_ = std::make_unique<EevdfQueue>(
        hierarchy_, EevdfConstants{tuning_.slice_jitter_permille, tuning_.lag_limit_slices}, 1);
    for (uint32_t v = 0; v < vcpus; ++v) {
      Vcpu& vcpu = vcpus_.emplace_back();
      vcpu.id = VcpuId{v};
      vcpu.group = GroupId{v / of_a_vm};
      vcpu.slice = tuning_.slice;
      queue_->enqueue(vcpu, now_);
    }
  }
  void turn() {
    queue_->pick(now_);
    now_ += tuning_.slice;
    queue_->put(now_);
  }

 private:
  Tuning tuning_;
  Hierarchy hierarchy_;
  std::deque<Vcpu> vcpus_;
  std::unique_ptr<EevdfQueue> queue_;
  Nanos now_{};
};

// `at_8`: where the figure with 8 vCPUs is kept, to compare the others with.
void turns(benchmark::State& state, uint32_t of_a_vm, double& at_8) {
  const auto n = static_cast<uint32_t>(state.range(0));
  Crowd crowd(n, std::min(n, of_a_vm));
  for (uint32_t i = 0; i < 2 * n; ++i) crowd.turn();  // the order of a queue in use
  const auto cpu_ns = [] {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
  };
  const double start = cpu_ns();
  for (auto _ : state) crowd.turn();
  const double each = (cpu_ns() - start) / static_cast<double>(state.iterations());
  if (n == 8) at_8 = each;
  if (at_8 > 0) state.counters["per_8"] = each / at_8;
}

// All on one queue.
void pick_put(benchmark::State& state) {
  static double at_8 = 0;
  turns(state, 16384, at_8);
}
BENCHMARK(pick_put)->Arg(8)->Arg(64)->Arg(1024)->Arg(16384);

// In VMs of 4, as in the default comparison: a turn is one on the queue of VMs and one on the VM's.
void pick_put_vms(benchmark::State& state) {
  static double at_8 = 0;
  turns(state, 4, at_8);
}
BENCHMARK(pick_put_vms)->Arg(8)->Arg(64)->Arg(1024)->Arg(16384);

void penalty_of_a_yield(benchmark::State& state) {
  Rng rng(1);
  std::array<PenaltyInput, 256> inputs;
  for (PenaltyInput& input : inputs) {
    input = {.gran = {1'000'000 + static_cast<int64_t>(rng.below(1'000'000))},
             .need = {static_cast<int64_t>(rng.below(5'000'000))},
             .queued = 2 + static_cast<uint32_t>(rng.below(16)),
             .reverse_pair = rng.below(2) == 0};
  }
  const Tuning tuning;
  size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(penalty(inputs[i++ % inputs.size()], tuning));
}
BENCHMARK(penalty_of_a_yield)->Name("penalty");

class QuietHost final : public Host {
 public:
  void kick(WorkerId) override {}
  void arm_tick(WorkerId, Nanos, Nanos) override {}
};

constexpr WorkerId kWorker{0};

struct Machine {
  Machine(const char* preset, uint32_t vcpus) : scheduler(setup_of(preset, vcpus), host) {
    for (uint32_t v = 0; v < vcpus; ++v) scheduler.start(VcpuId{v}, now);
    scheduler.pick(kWorker, now);
  }
  static Setup setup_of(const char* preset, uint32_t vcpus) {
    const Policy policy = *parse_policy(preset);
    Setup setup;
    setup.queue = policy.features.queue;
    setup.tuning = policy.tuning;
    setup.vms.push_back({.vcpus = vcpus, .weight = {}, .parent = kRootGroup, .policy = policy});
    return setup;
  }
  QuietHost host;
  Nanos now{};
  Scheduler scheduler;
};

// Nobody to yield to: every sibling is looked at, and sleeps.
void spin_scan(benchmark::State& state, const char* preset) {
  Machine m(preset, static_cast<uint32_t>(state.range(0)));
  for (int64_t v = 1; v < state.range(0); ++v) {
    m.scheduler.halt(kWorker, m.now);
    m.scheduler.pick(kWorker, m.now);
  }
  for (auto _ : state) benchmark::DoNotOptimize(m.scheduler.spin(kWorker, m.now += Nanos{1000}, true));
}

// Everybody waits: a target is found and yielded to. With the switch to it.
void spin_yield(benchmark::State& state, const char* preset) {
  Machine m(preset, static_cast<uint32_t>(state.range(0)));
  for (auto _ : state) {
    m.now += Nanos{50'000};
    if (!m.scheduler.spin(kWorker, m.now, true)) continue;
    m.scheduler.put(kWorker, m.now, true);
    m.scheduler.pick(kWorker, m.now);
  }
}
#define SPIN(preset)                                      \
  BENCHMARK_CAPTURE(spin_scan, preset, #preset)->Arg(64); \
  BENCHMARK_CAPTURE(spin_yield, preset, #preset)->Arg(64)
SPIN(yield);
SPIN(v2);
SPIN(v3);
SPIN(kvmux);

// IPIs round a ring of vCPUs; several rings, so that a pause of the clock weighs nothing.
class Rings {
 public:
  static constexpr uint32_t kVcpus = 64;
  static constexpr uint32_t kRings = 16;
  static constexpr uint32_t kIpis = kVcpus * kRings;

  explicit Rings(IpiModelKind kind) {
    for (auto& model : models_) model = make_ipi_model(kind, kVcpus, {Nanos{50'000'000}});
    for (uint32_t v = 0; v < kVcpus; ++v) to_[v].insert((v + 1) % kVcpus);
  }
  void send_all() {
    now_ += Nanos{1000};
    for (auto& model : models_) {
      for (uint32_t v = 0; v < kVcpus; ++v) model->sent({v, IrqVector{0x40}, false, to_[v]}, now_);
    }
  }
  void end_all() {
    now_ += Nanos{1000};
    for (auto& model : models_) {
      for (uint32_t v = 0; v < kVcpus; ++v) model->eoi(v, IrqVector{0x40}, now_);
    }
  }

 private:
  std::array<std::unique_ptr<IpiModel>, kRings> models_;
  std::array<VcpuSet, kVcpus> to_ = [] {
    std::array<VcpuSet, kVcpus> sets;
    sets.fill(VcpuSet(kVcpus));
    return sets;
  }();
  Nanos now_{};
};

void ipi_send(benchmark::State& state, IpiModelKind kind) {
  Rings rings(kind);
  while (state.KeepRunningBatch(Rings::kIpis)) {
    rings.send_all();
    state.PauseTiming();
    rings.end_all();
    state.ResumeTiming();
  }
}

void ipi_eoi(benchmark::State& state, IpiModelKind kind) {
  Rings rings(kind);
  while (state.KeepRunningBatch(Rings::kIpis)) {
    state.PauseTiming();
    rings.send_all();
    state.ResumeTiming();
    rings.end_all();
  }
}
#define IPI(name, kind)                    \
  BENCHMARK_CAPTURE(ipi_send, name, kind); \
  BENCHMARK_CAPTURE(ipi_eoi, name, kind)
IPI(v2, IpiModelKind::kV2);
IPI(v3, IpiModelKind::kV3);
IPI(kvmux, IpiModelKind::kKvmux);

}  // namespace
