// The PCs of a measured run: VMs whose boards have to be served, and guests with an agent that says when it
// is ready. vmm/run knows neither boards nor agents; who has them gives a run its PcGuests (RunControl).
//
// The thread that drives the engine, which serves the boards as well, in this order:
//   make() for each → engine.start() → serve() until standing() is not kBooting → go() → (serve() …
//   ask() → serve() until answered())… → engine.stop()
#pragma once

#include <memory>
#include <string>

#include "vmm/run/run_vm.h"

namespace vmm {

class System;

struct RunVmSetup {
  VmOptions options;
  sched::VcpuId first{};
  const VmSpec& spec;
};

class PcGuests {
 public:
  PcGuests() = default;
  PcGuests(const PcGuests&) = delete;
  PcGuests& operator=(const PcGuests&) = delete;
  virtual ~PcGuests() = default;

  // All must outlive the VM; the VM must go before *this.
  [[nodiscard]] virtual Result<std::unique_ptr<RunVm>> make(const System& system, const RunVmSetup& setup,
                                                            Engine& engine) = 0;
  // Serves their boards until this instant, or until something has changed that is asked for below, or a
  // signal comes.
  [[nodiscard]] virtual Result<void> serve(Nanos until) = 0;

  enum class Standing : uint8_t { kBooting, kReady, kFailed };
  // Of all together: one that has failed decides.
  [[nodiscard]] virtual Standing standing() const = 0;
  // kFailed, or kBooting for too long: which one and why, and the last lines of its console, to be shown.
  struct NotReady {
    Error error;
    std::string last_lines;
  };
  [[nodiscard]] virtual NotReady why_not_ready(Nanos limit) const = 0;
  // Their loads begin.
  virtual void go() = 0;
  // All are to report; answered(): those that still can have done so (RunVm::report()).
  virtual void ask() = 0;
  [[nodiscard]] virtual bool answered() const = 0;
};

}  // namespace vmm
