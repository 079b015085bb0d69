#include "vmm/run/kvm_backend.h"

#include <algorithm>
#include <thread>

#include "vmm/run/calibrate.h"
#include "vmm/run/setup.h"
#include "vmm/run/window.h"

namespace vmm {
namespace {

constexpr Nanos kPoll{20'000'000};

// A run's pieces, in the order in which they must go: the machine's workers, then the VMs.
struct Bench {
  Console console;
  std::vector<TinyVm> vms;
  std::unique_ptr<Machine> machine;

  explicit Bench(bool quiet) : console(quiet ? [](std::string_view) {} : write_lines_to(1)) {}
  ~Bench() {
    if (machine != nullptr) machine->stop();
  }
};

bool samples(SpinDetect detect) { return detect == SpinDetect::kSample || detect == SpinDetect::kBoth; }

Result<void> build(const RunSpec& spec, const Calibration& calibration, Nanos spin_window, Bench& bench) {
  auto setup = make_setup(spec, spin_window);
  if (!setup) return Failure(setup.error());
  const auto system = System::open();
  if (!system) return Failure(system.error());
  bench.machine = std::make_unique<Machine>(*setup, samples(spec.spin_detect));
  uint32_t first = 0;
  for (uint32_t i = 0; i < spec.vms.size(); ++i) {
    const VmSpec& vm = spec.vms[i];
    auto tiny = make_tiny_vm(*system,
                             {.id = VmId{i},
                              .first = sched::VcpuId{first},
                              .spec = vm,
                              .calibration = calibration,
                              .spin_window = spin_window,
                              .seed = spec.seed * 1000 + i},
                             *bench.machine, bench.console);
    if (!tiny) return Failure(tiny.error());
    bench.vms.push_back(std::move(*tiny));
    first += vm.vcpus;
  }
  for (const TinyVm& tiny : bench.vms) bench.machine->add({tiny.vm.get(), tiny.board.get()});
  return {};
}

// Until `end`, a stop request, or the end of all VMs. `done` and `share`: the part of the progress that this
// makes up.
void wait_until(Nanos end, Nanos length, double done, double share, const Machine& machine,
                RunControl& control) {
  for (;;) {
    const Nanos now = monotonic_now();
    const Nanos left = end - now;
    if (control.progress) {
      const double part =
          1.0 - std::max(0.0, static_cast<double>(left.count()) / static_cast<double>(length.count()));
      control.progress(done + share * part);
    }
    if (left <= Nanos{} || control.stop.load() || machine.all_ended()) return;
    std::this_thread::sleep_for(std::min(left, kPoll));
  }
}

}  // namespace

Result<RunResult> run_on_kvm(const RunSpec& spec, RunControl& control) {
  const uint32_t ring = spec.vms.empty() ? 3 : spec.vms.front().ring;
  const auto calibrated = calibration(ring);
  if (!calibrated) return Failure(calibrated.error());
  const Nanos spin_window = spin_window_of(spec, calibrated->exit_cost);

  Bench bench(spec.quiet_console);
  if (auto built = build(spec, *calibrated, spin_window, bench); !built) return Failure(built.error());
  Machine& machine = *bench.machine;
  if (auto started = machine.start(); !started) return Failure(started.error());

  const Nanos whole = std::max(Nanos{1}, spec.warmup + spec.duration);
  const double warmup_share = static_cast<double>(spec.warmup.count()) / static_cast<double>(whole.count());
  wait_until(monotonic_now() + spec.warmup, std::max(Nanos{1}, spec.warmup), 0, warmup_share, machine,
             control);
  machine.pause();
  machine.scheduler().reset_peaks();
  const Snapshot start = take_snapshot(machine, bench.vms);
  machine.resume();
  wait_until(monotonic_now() + spec.duration, std::max(Nanos{1}, spec.duration), warmup_share,
             1 - warmup_share, machine, control);
  machine.pause();
  const Snapshot end = take_snapshot(machine, bench.vms);
  machine.resume();
  machine.stop();

  RunResult result = difference(spec, *calibrated, bench.vms, start, end);
  result.spin_window = spin_window;
  result.interrupted = control.stop.load();
  return result;
}

}  // namespace vmm
