// The policies of a boot, one after the other while its guest runs, and what became of the vCPUs' time under
// each. The thread that drives the engine.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "vmm/platform/boot.h"
#include "vmm/run/engine.h"
#include "vmm/run/observer.h"

namespace vmm {

class PolicyCourse {
 public:
  // All are outlived by what they point to; the engine has not run for longer than since `start`.
  PolicyCourse(const BootSpec& spec, Engine& engine, Vm& vm, Nanos start, Observation& observation);
  // When to look next.
  [[nodiscard]] Nanos next() const;
  // Changes the policy if its time has come, or who looks on asks for it.
  void look(Nanos now);
  // Before the engine stops. Nothing if there were no changes.
  [[nodiscard]] std::vector<BootSection> finish();

 private:
  void change(std::span<const VmChange> vms);
  void close(Nanos now);

  const BootSpec& spec_;
  Engine& engine_;
  Vm& vm_;
  Observation& observation_;
  const Nanos start_;
  Nanos since_;
  std::string policy_;
  size_t done_ = 0;  // changes
  std::vector<Engine::VcpuUse> uses_;
  std::vector<BootSection> sections_;
};

}  // namespace vmm
