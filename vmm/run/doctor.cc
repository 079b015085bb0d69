#include "vmm/doctor.h"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>

#include "vmm/kvm/system.h"
#include "vmm/run/event_loop.h"
#include "vmm/run/host_costs.h"
#include "vmm/run/machine.h"
#include "vmm/run/move_cost.h"
#include "vmm/run/moves.h"
#include "vmm/run/setup.h"
#include "vmm/sandbox/sandbox.h"

namespace vmm {
namespace {

DoctorCheck ok(std::string name, std::string detail) {
  return {std::move(name), CheckState::kOk, std::move(detail), ""};
}
DoctorCheck warn(std::string name, std::string detail, std::string consequence) {
  return {std::move(name), CheckState::kWarn, std::move(detail), std::move(consequence)};
}
DoctorCheck fail(std::string name, const Error& error, std::string consequence) {
  return {std::move(name), CheckState::kFail, error.text(), std::move(consequence)};
}

DoctorCheck check_kernel() {
  utsname name{};
  ::uname(&name);
  if (!waits_for_grace_periods(name.release)) {
    return ok("kernel", fmt::format("{}: vCPUs change threads cheaply", name.release));
  }
  return warn(
      "kernel", name.release,
      "before Linux 6.13 a vCPU that changes threads waits for an RCU grace period, up to hundreds of "
      "milliseconds: where that is measured, a thread carries each vCPU, and workers go from one to another");
}

DoctorCheck check_cpus() {
  const size_t cpus = allowed_cpus().size();
  if (cpus >= 2) return ok("CPUs", fmt::format("{} to run workers on", cpus));
  return warn("CPUs", "1 to run workers on", "one worker: nothing runs at the same time as anything else");
}

DoctorCheck check_event_loop() {
  const auto ring = EventLoop::create(EventLoopKind::kIoUring);
  if (ring) return ok("event loop", fmt::format("io_uring: {}", (*ring)->describe()));
  const auto epoll = EventLoop::create(EventLoopKind::kEpoll);
  if (!epoll) return fail("event loop", epoll.error(), "workers cannot sleep");
  return warn(
      "event loop", fmt::format("epoll: {}, because {}", (*epoll)->describe(), ring.error().text()),
      "workers wake each other by two more system calls; --event-loop epoll does not ask for io_uring");
}

DoctorCheck check_sandbox() {
  const sandbox::State state = sandbox::state();
  if (!state.why_off.empty()) {
    return warn("sandbox", fmt::format("off: {}", state.why_off),
                "a guest that breaks out of KVM or kvmux has all that this user has");
  }
  if (state.landlock == 0) {
    return warn("sandbox", "seccomp; no Landlock in this kernel",
                "the main thread may still open what this user may; threads that run guests open nothing");
  }
  return ok("sandbox", fmt::format("seccomp, Landlock version {}", state.landlock));
}

void check_capabilities(const System& system, std::vector<DoctorCheck>& checks) {
  for (const Capability& capability : system.capabilities().table()) {
    const CapabilityInfo& info = *capability.info;
    const std::string detail =
        fmt::format("{} ({})", capability.present() ? "there" : "missing", capability.value);
    if (info.use == CapabilityUse::kLimit || capability.present()) {
      checks.push_back(
          ok(info.name, info.use == CapabilityUse::kLimit ? fmt::format("{}", capability.value) : detail));
    } else if (info.use == CapabilityUse::kRequired) {
      checks.push_back({info.name, CheckState::kFail, detail, fmt::format("needed: {}", info.why)});
    } else {
      checks.push_back(warn(info.name, detail, fmt::format("goes without: {}", info.why)));
    }
  }
}

Nanos cost_of(const std::vector<MeasuredCost>& costs, std::string_view key) {
  const auto found = std::find_if(costs.begin(), costs.end(), [&](const auto& c) { return c.key == key; });
  return found == costs.end() ? Nanos{} : Nanos{found->value};
}

double us(Nanos t) { return static_cast<double>(t.count()) / 1000.0; }

std::vector<std::string> implications(const std::vector<MeasuredCost>& costs) {
  const Nanos exit = cost_of(costs, "exit_user_ns");
  const Nanos preempt = cost_of(costs, "preempt_user_ns");
  const Nanos move = cost_of(costs, "vcpu_move_ns");
  const Nanos handover = cost_of(costs, "carrier_switch_ns");
  // A preemption costs the exit and the way back; below a fiftieth of the slice it is lost in the noise.
  const Nanos slice = 50 * preempt;
  return {
      fmt::format("spin window: {:.0f} us by default (one exit of {:.1f} us, kept in 20 … 200 us)",
                  us(spin_window_of(RunSpec{}, exit)), us(exit)),
      fmt::format("slice: preemption costs {:.1f} us, so slices of {:.1f} ms and more keep it below 2 %",
                  us(preempt), us(slice) / 1000.0),
      fmt::format("moving a vCPU to another worker costs {:.1f} us: {}", us(move),
                  move < kDearMove
                      ? "vCPUs may move freely"
                      : "they stay with threads of their own, or without these with their workers"),
      fmt::format(
          "--carriers auto means {}: handing a worker from one vCPU's thread to another's costs {:.1f} us",
          move < kDearMove ? "off" : "on, a thread for each vCPU", us(handover)),
  };
}

}  // namespace

Result<DoctorReport> doctor_measure() {
  DoctorReport report;
  report.checks.push_back(check_kernel());
  report.checks.push_back(check_cpus());
  report.checks.push_back(check_event_loop());
  report.checks.push_back(check_sandbox());
  const auto system = System::open();
  if (!system) {
    report.checks.push_back(fail("/dev/kvm", system.error(), "guests cannot run; kvmux sim needs no KVM"));
    return report;
  }
  report.checks.push_back(ok("/dev/kvm", "readable and writable, API version 12"));
  check_capabilities(*system, report.checks);
  const bool fit = std::none_of(report.checks.begin(), report.checks.end(),
                                [](const DoctorCheck& check) { return check.state == CheckState::kFail; });
  if (!fit) return report;
  auto costs = measure_host_costs();
  if (!costs) return Failure(costs.error());
  report.costs = std::move(*costs);
  report.implications = implications(report.costs);
  return report;
}

}  // namespace vmm
