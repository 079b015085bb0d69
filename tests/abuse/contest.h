// What an abusing VM costs the innocent VMs beside it, all of equal weight: the same machine is run twice,
// with the abuser and with a well-behaved VM of computing vCPUs in its place, and the innocent ones are
// compared. On KVM or simulated. One thread.
//
//   const auto loss = measure({.kind = KVMUX_ABUSE_BELL, .policy = "kvmux", .shape = {...}});
//   loss->time     0.05: the worst off of the innocent VMs got 5 % of a fair share less
#pragma once

#include <string>
#include <vector>

#include "vmm/run/abuse_kind.h"
#include "vmm/run/run.h"
#include "vmm/stats/sample.h"

namespace abuse {

using vmm::median;

// The bound: of a fair share.
inline constexpr double kBound = 0.05;

// A machine: `innocents` VMs and one abuser.
struct Shape {
  uint32_t workers = 2;
  uint32_t innocents = 1;
  uint32_t vcpus = 2;  // of each VM
  std::string text() const;
};

struct Contest {
  vmm::Backend backend = vmm::Backend::kSim;
  kvmux_abuse kind = KVMUX_ABUSE_BELL;
  std::string policy = "kvmux";
  Shape shape;
  std::string innocent = "compute";
  vmm::Nanos window{1'000'000'000};
  uint64_t seed = 1;
  std::string costs = "laptop-vmx";  // simulated: whose
  std::string text() const;
};

// What the innocent VMs have of a run.
struct Share {
  double time = 0;  // CPU time of the worst off of them, as part of a fair share of what the host left to us
  double work = 0;  // operations a second, all of them together
  double stolen = 0;  // share of the workers' time that the host took
};

// Beside an abuser, or beside a VM that computes.
[[nodiscard]] vmm::Result<Share> share_of_innocents(const Contest& contest, bool abused);

// As parts of 1; what is below 0 is a gain.
struct Loss {
  double time = 0;  // of a fair share
  double work = 0;  // of the work done beside a VM that computes
};
Loss loss_between(const Share& beside_compute, const Share& beside_abuser);

// Both runs.
[[nodiscard]] vmm::Result<Loss> measure(const Contest& contest);

// All kinds that this many vCPUs can do, in the order of guest/abuse_kinds.h.
std::vector<kvmux_abuse> kinds(uint32_t vcpus);
std::string_view word_of(kvmux_abuse kind);

}  // namespace abuse
