#include "vmm/run/calibrate.h"

#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "vmm/check.h"
#include "vmm/output/standard.h"
#include "vmm/run/guest_pages.h"
#include "vmm/run/machine.h"

namespace vmm {
namespace {

constexpr Nanos kPatience{5'000'000'000};
constexpr Nanos kPoll{1'000'000};

Calibration mean_of(const TinyVm& tiny, uint32_t vcpus) {
  const double khz = static_cast<double>(tiny.vm->tsc_khz());
  Calibration sum{};
  for (uint32_t i = 0; i < vcpus; ++i) {
    const kvmux_vcpu_results results = tiny.results(VcpuIndex{i});
    sum.delay_iters_per_ms += static_cast<double>(results.user[0]);
    sum.pauses_per_ms += static_cast<double>(results.user[1]);
    sum.exit_cost += time_of(static_cast<double>(results.user[2]), khz);
  }
  return {.delay_iters_per_ms = sum.delay_iters_per_ms / vcpus,
          .pauses_per_ms = sum.pauses_per_ms / vcpus,
          .exit_cost = sum.exit_cost / vcpus};
}

Result<Calibration> measure(uint32_t ring, uint32_t workers, const std::atomic<bool>& stop,
                            EventLoopKind event_loop) {
  const auto system = System::open();
  if (!system) return Failure(system.error());
  VmSpec spec;
  spec.guest = "calibrate";
  spec.vcpus = workers;
  spec.ring = ring;
  sched::Setup setup;
  setup.workers = workers;
  setup.vms.push_back({.vcpus = workers, .weight = {}, .parent = sched::kRootGroup, .policy = {}});
  Console console([](std::string_view line) { standard_output().put(line); });
  Machine machine(setup, Nanos{}, Nanos{}, event_loop);
  const Calibration none;
  auto tiny = make_tiny_vm(*system, {.options = {}, .first = {}, .spec = spec, .calibration = none}, machine,
                           console);
  if (!tiny) return Failure(tiny.error());
  machine.add({tiny->vm.get(), tiny->board.get()});
  if (auto started = machine.start(); !started) return Failure(started.error());
  // By the clock: a sleep may end early.
  const Nanos end = monotonic_now() + kPatience;
  while (!machine.all_ended() && !machine.trouble().any() && monotonic_now() < end && !stop.load()) {
    std::this_thread::sleep_for(kPoll);
  }
  machine.stop();
  if (const auto trouble = machine.trouble().first()) return Failure(*trouble);
  if (stop.load()) return host_error("calibrate", 0, "interrupted before anything was measured");
  if (tiny->vm->exit_code() != 0) {
    const std::string failure = tiny->vm->failure();
    return guest_error("calibrate",
                       failure.empty() ? "the calibration guest did not finish in 5 s" : failure);
  }
  return mean_of(*tiny, workers);
}

}  // namespace

Result<Calibration> calibration(uint32_t ring, uint32_t workers, const std::atomic<bool>& stop,
                                EventLoopKind event_loop) {
  static std::mutex mutex;
  static std::map<std::pair<uint32_t, uint32_t>, Calibration> known;
  const std::lock_guard lock(mutex);
  const std::pair key(ring, workers);
  if (const auto found = known.find(key); found != known.end()) return found->second;
  auto result = measure(ring, workers, stop, event_loop);
  if (result) known[key] = *result;
  return result;
}

Result<Calibrations> Calibrations::of(const RunSpec& spec, const std::atomic<bool>& stop) {
  Calibrations all;
  for (const VmSpec& vm : spec.vms) {
    if (all.by_ring_.contains(vm.ring)) continue;
    const auto measured = calibration(vm.ring, spec.workers, stop, spec.event_loop);
    if (!measured) return Failure(measured.error());
    all.by_ring_[vm.ring] = *measured;
  }
  KVMUX_CHECK(!all.by_ring_.empty(), "a run has VMs");
  return all;
}

}  // namespace vmm
