// `--at 2s:deboost=off,ipi-window=10ms` and `--at 2s:policy=v2`: policies that change while guests run. Main
// thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "vmm/cli/flags.h"

namespace CLI {
class App;
}

namespace vmm {

void add_at_flag(CLI::App& app, std::vector<std::string>& texts);

// A policy's name with one more key; a key that was changed before is named once, with its last value.
[[nodiscard]] std::string name_with(std::string name, std::string_view key, std::string_view value);

// What they make of the policies that the VMs begin with, in the order of their times, which may be given in
// any. Keys hold for all VMs and add up; a whole policy takes the place of each VM's, with the flags below
// its own keys.
[[nodiscard]] Result<std::vector<PolicyChange>> parse_changes(const std::vector<std::string>& texts,
                                                              const std::vector<VmSpec>& vms,
                                                              const KeyValues& policy_flags);

}  // namespace vmm
