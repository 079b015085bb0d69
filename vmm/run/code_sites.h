// Where in its code a VM's vCPUs were found busy-waiting and where their turns ended, as counted by the run loop
// (site_counts.h), by function.
//
// Counted are: looks that found a busy wait (spin_sample.h), rings of the doorbell, and ends of turns by the
// scheduler's will, each only where the registers are at hand: PC boards always, tiny guests after a look that fetched them.
// The driver's thread, the engine paused or stopped.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "vmm/load/symbols.h"
#include "vmm/run/vm.h"
#include "vmm/run_types.h"

namespace vmm {

struct SitesOfVm {
  CodeSites spinning;
  CodeSites taken_off;
};

// By function: RIPs of one function become one site. No more than 100: the rest is `other`. Pure.
[[nodiscard]] CodeSites by_function(const std::map<uint64_t, uint64_t>& samples_by_rip, uint64_t other,
                                    const SymbolTable& symbols);

[[nodiscard]] SitesOfVm sites_of(Vm& vm, const SymbolTable& symbols);
void forget_sites(Vm& vm);

// The symbols of a run's guests, each file read when it is first asked for: a tiny guest's own image, what a Linux
// guest has been given (LinuxGuest::symbols), else its kernel's.
class GuestSymbols {
 public:
  // `spec` outlives it.
  explicit GuestSymbols(const RunSpec& spec) : spec_(spec) {}
  // Empty: it has none.
  [[nodiscard]] const SymbolTable& of(VmId vm);

 private:
  const RunSpec& spec_;
  std::map<std::string, SymbolTable> tables_;  // by the name of a file, or of a built-in guest
};

}  // namespace vmm
