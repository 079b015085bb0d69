// A kernel and an initial RAM disk for Linux guests without a word from the user: from the cache, or built
// now as `kvmux linux-image` would (which also lets one choose).
//
// Opens files, uses the network and starts processes (apt-get, dpkg-deb): before the sandbox closes and
// before threads that run vCPUs are there. One caller at a time in a process; processes may call at once.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "vmm/linux/loads.h"
#include "vmm/result.h"

namespace vmm::linux_guest {

struct GuestImage {
  std::string kernel;    // path of a bzImage
  std::string initrd;    // path of the RAM disk with agent and programs; the agent is /init
  std::string versions;  // path of the list of package versions that they were made of
};

// Gets whole lines of progress, without newline; nothing is said where all is in the cache.
using Say = std::function<void(std::string_view line)>;

// One image for all these loads, and no larger than they need. Host errors say what is missing and what to do
// about it (no network and nothing in the cache, no apt-get, no room).
[[nodiscard]] Result<GuestImage> default_image(std::span<const Load> loads, const Say& say);

}  // namespace vmm::linux_guest
