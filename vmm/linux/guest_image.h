// What a Linux guest gets where the user does not say: the image that `kvmux linux-image` has made, the kernel's
// command line, the load. Set-up, any thread.
#pragma once

#include <string>
#include <string_view>

#include "vmm/run_types.h"

namespace vmm {

inline constexpr std::string_view kNoImage =
    "there is no image yet: `kvmux linux-image` makes one; accepted are kernel=FILE and initrd=FILE as well";

// Fills in what is empty: the kernel, and with it the initrd, of the image, if there is one; the load. The command
// line goes behind what every guest needs.
void complete_guest(LinuxGuest& guest);

// Why this is no load; empty: it may be one, which the agent decides.
[[nodiscard]] std::string why_not_load(std::string_view load);

}  // namespace vmm
