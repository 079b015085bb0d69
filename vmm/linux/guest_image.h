// What a Linux guest of a run gets where the user does not say, and its kernel's command line. Pure, any
// thread.
#pragma once

#include <string>

#include "vmm/run_types.h"

namespace vmm {

inline constexpr const char* kStandardLoad = "hackbench";

// What its kernel gets: what every guest needs, its load for the agent, `nokaslr` where symbols are given and the user
// says nothing of kaslr, and the user's own.
[[nodiscard]] std::string kernel_cmdline(const LinuxGuest& guest);

}  // namespace vmm
