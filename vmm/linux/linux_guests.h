// The Linux guests of a run, as vmm/run/pc_guests.h wants its PCs.
#pragma once

#include <memory>
#include <vector>

#include "vmm/linux/linux_vm.h"

namespace vmm {

class LinuxGuests final : public PcGuests {
 public:
  // `spec` outlives it.
  explicit LinuxGuests(const RunSpec& spec) : spec_(spec) {}

  [[nodiscard]] Result<std::unique_ptr<RunVm>> make(const System& system, const RunVmSetup& setup,
                                                    Engine& engine) override;
  [[nodiscard]] Result<void> serve(Nanos until) override;
  [[nodiscard]] Standing standing() const override;
  [[nodiscard]] NotReady why_not_ready(Nanos limit) const override;
  void go() override;
  void ask() override;
  [[nodiscard]] bool answered() const override;

 private:
  const RunSpec& spec_;
  std::unique_ptr<Wakeup> wakeup_;
  std::vector<LinuxVm*> vms_;  // the run's
};

// As RunControl has it.
std::unique_ptr<PcGuests> make_linux_guests(const RunSpec& spec);

}  // namespace vmm
