// A VM of a measured run, whatever guest it has: a tiny one (tiny_vm.h), or a PC, whose maker is given to the
// run (pc_guests.h).
//
// Built and destroyed by the thread that drives the engine, which also asks the rest, unless it says
// otherwise.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "guest/abi.h"
#include "vmm/run/engine.h"
#include "vmm/run_types.h"

namespace vmm {

// What a Linux guest's agent says it has done since its load began, by the guest's clock.
struct GuestReport {
  Nanos at{};
  uint64_t operations = 0;
  Nanos steal{};
  std::vector<std::pair<std::string, Nanos>> latencies = {};  // as LinuxResult
};

class RunVm {
 public:
  RunVm() = default;
  RunVm(const RunVm&) = delete;
  RunVm& operator=(const RunVm&) = delete;
  virtual ~RunVm() = default;

  [[nodiscard]] virtual Vm& vm() const = 0;
  // As the engine is to know it: VM, board, and what the guest publishes.
  [[nodiscard]] virtual RunningVm running() const = 0;

  // Any thread. A copy of what the guest's vCPU has reported by guest/abi.h; zeros where it does not know
  // that.
  [[nodiscard]] virtual kvmux_vcpu_results results(VcpuIndex) const { return {}; }
  // Of a PC's agent: its last answer to PcGuests::ask(). Nothing: none yet, or a tiny guest.
  [[nodiscard]] virtual std::optional<GuestReport> report() const { return std::nullopt; }

  // The engine has stopped.
  [[nodiscard]] virtual std::vector<CheckResult> checks() const { return {}; }
  // All that a Linux guest's result has besides its reports.
  [[nodiscard]] virtual std::optional<LinuxResult> outcome() const { return std::nullopt; }
  // Why the guest is to count as failed although its VM did not; empty: it is not.
  [[nodiscard]] virtual std::string complaint() const { return {}; }
};

using RunVms = std::vector<std::unique_ptr<RunVm>>;  // by VmId

}  // namespace vmm
