#include "vmm/run/calibrate.h"

#include <map>
#include <mutex>
#include <thread>

#include "vmm/run/machine.h"

namespace vmm {
namespace {

constexpr Nanos kPatience{5'000'000'000};
constexpr Nanos kPoll{1'000'000};

Result<Calibration> measure(uint32_t ring) {
  const auto system = System::open();
  if (!system) return Failure(system.error());
  VmSpec spec;
  spec.guest = "calibrate";
  spec.vcpus = 1;
  spec.ring = ring;
  sched::Setup setup;
  setup.vms.push_back({.vcpus = 1, .weight = {}, .parent = sched::kRootGroup, .policy = {}});
  Console console(write_lines_to(1));
  Machine machine(setup, false);
  const Calibration none;
  auto tiny = make_tiny_vm(*system, {.options = {}, .first = {}, .spec = spec, .calibration = none}, machine,
                           console);
  if (!tiny) return Failure(tiny.error());
  machine.add({tiny->vm.get(), tiny->board.get()});
  if (auto started = machine.start(); !started) return Failure(started.error());
  for (Nanos waited{}; !machine.all_ended() && waited < kPatience; waited += kPoll) {
    std::this_thread::sleep_for(kPoll);
  }
  machine.stop();
  const kvmux_vcpu_results results = tiny->results(VcpuIndex{0});
  if (tiny->vm->exit_code() != 0) {
    const std::string failure = tiny->vm->failure();
    return guest_error("calibrate",
                       failure.empty() ? "the calibration guest did not finish in 5 s" : failure);
  }
  const double khz = static_cast<double>(tiny->vm->tsc_khz());
  return Calibration{
      .delay_iters_per_ms = static_cast<double>(results.user[0]),
      .pauses_per_ms = static_cast<double>(results.user[1]),
      .exit_cost = Nanos(static_cast<int64_t>(static_cast<double>(results.user[2]) * 1e6 / khz))};
}

}  // namespace

Result<Calibration> calibration(uint32_t ring) {
  static std::mutex mutex;
  static std::map<uint32_t, Calibration> known;
  const std::lock_guard lock(mutex);
  if (const auto found = known.find(ring); found != known.end()) return found->second;
  auto result = measure(ring);
  if (result) known[ring] = *result;
  return result;
}

}  // namespace vmm
