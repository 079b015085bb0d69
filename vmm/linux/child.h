// Other programs, run to their end: apt-get, dpkg-deb. Blocks; before the sandbox closes. Any thread.
#pragma once

#include <string>
#include <vector>

#include "vmm/result.h"

namespace vmm::linux_guest {

// Its standard output. An error if it cannot be started (errno ENOENT: not installed) or does not end with 0:
// with the last line that it wrote to standard error.
[[nodiscard]] Result<std::string> output_of(const std::vector<std::string>& words,
                                            const std::string& folder = {});

[[nodiscard]] bool is_installed(const std::string& program);

}  // namespace vmm::linux_guest
